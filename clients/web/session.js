// Who is signed in on this browser: tokens in localStorage, shared by all tabs of this origin.
// Promises that one tab at a time refreshes (a refresh token works once; using it twice ends the session).

const KEY = 'starling.session';
const LOCK = 'starling.refresh';

export class Session {
  constructor(storage = window.localStorage) {
    this.storage = storage;
  }

  /** `{access_token, refresh_token?, expires_at?, user}` or null. */
  get() {
    try {
      const session = JSON.parse(this.storage.getItem(KEY));
      return session?.access_token ? session : null;
    } catch {
      return null;
    }
  }

  /** Keeps the answer of a sign-in or refresh. `expires_at` is in this machine's time. */
  set({ access_token, refresh_token, expires_in, user }) {
    const expires_at = expires_in ? Date.now() + expires_in * 1000 : null;
    this.storage.setItem(KEY, JSON.stringify({ access_token, refresh_token, expires_at, user }));
  }

  clear() {
    this.storage.removeItem(KEY);
  }

  /** Runs `work` while no other tab runs its own. */
  exclusively(work) {
    // Absent on plain http to another machine: there each tab is on its own.
    return navigator.locks ? navigator.locks.request(LOCK, work) : work();
  }

  /** Calls back when another tab signs in, out, or refreshes. */
  onElsewhere(callback) {
    window.addEventListener('storage', (event) => {
      if (event.key === KEY || event.key === null) callback(this.get());
    });
  }
}
