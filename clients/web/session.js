// Who is signed in on this browser: tokens in localStorage, shared by all tabs of this origin.
// Promises that a refresh token, which works once, is used by one tab alone: using it twice ends the session.

import { readVault, writeVault } from './vault.js';

const KEY = 'starling.session';
const LOCK = 'starling.refresh';

export class Session {
  constructor(storage = window.localStorage) {
    this.storage = storage;
  }

  /** `{access_token, refresh_token?, expires_at?, written_at, user}` or null. */
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
    const written_at = Math.max(Date.now(), (this.get()?.written_at ?? 0) + 1);
    const session = { access_token, refresh_token, expires_at, written_at, user };
    this.storage.setItem(KEY, JSON.stringify(session));
    return session;
  }

  /** Who is signed in has another name or picture. */
  profile(user) {
    const session = this.get();
    if (session?.user.id !== user.id || JSON.stringify(session.user) === JSON.stringify(user)) return;
    this.storage.setItem(KEY, JSON.stringify({ ...session, user }));
  }

  clear() {
    this.storage.removeItem(KEY);
    writeVault(null);
  }

  /**
   * Runs `renew(session)` in one tab at a time and keeps the tokens that it resolves to. A tab whose copy was
   * already replaced by another one gets the newer tokens instead. Resolves to an access token.
   */
  async rotate(stale, renew) {
    const work = async () => {
      const mine = this.get();
      const latest = await readVault();
      const newer = mine && latest?.user.id === mine.user.id && latest.written_at > mine.written_at;
      if (newer) this.storage.setItem(KEY, JSON.stringify(latest));
      const session = newer ? latest : mine;
      if (session && session.access_token !== stale) return session.access_token;
      const next = this.set(await renew(session));
      // Before the lock is let go, or the next tab would not see it.
      await writeVault(next);
      return next.access_token;
    };
    // Locks are absent on plain http to another machine: there each tab is on its own.
    return navigator.locks ? navigator.locks.request(LOCK, work) : work();
  }

  /** Calls back when another tab signs in, out, or refreshes. */
  onElsewhere(callback) {
    window.addEventListener('storage', (event) => {
      if (event.key === KEY || event.key === null) callback(this.get());
    });
  }
}
