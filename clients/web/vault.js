// One value that all tabs read alike. localStorage may lag behind in another tab for a moment; a completed
// IndexedDB transaction does not. Where there is no IndexedDB, it reads as null and keeps nothing.

const DATABASE = 'starling';
const STORE = 'vault';
const KEY = 'session';

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function transaction(mode, work) {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await done(opening);
  try {
    const running = database.transaction(STORE, mode, { durability: 'relaxed' });
    const complete = new Promise((resolve, reject) => {
      running.oncomplete = resolve;
      running.onabort = () => reject(running.error);
    });
    const result = await done(work(running.objectStore(STORE)));
    await complete;
    return result;
  } finally {
    database.close();
  }
}

export async function readVault() {
  try {
    return (await transaction('readonly', (store) => store.get(KEY))) ?? null;
  } catch {
    return null;
  }
}

export async function writeVault(value) {
  try {
    await transaction('readwrite', (store) => (value === null ? store.delete(KEY) : store.put(value, KEY)));
  } catch {
    // Then two tabs that refresh within the same few milliseconds are on their own.
  }
}
