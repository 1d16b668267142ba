// A whole `Sync` whose REST and socket are answered by hand, in any order: for what overtakes what.

import { conversation, ME, Memory, sender } from './fixtures.js';

globalThis.window = { sessionStorage: new Memory(), addEventListener() {}, removeEventListener() {} };
globalThis.location = { href: 'http://localhost/' };
const { Sync } = await import('../sync.js');

/** Lets everything run that waits for nothing but an answer. */
export const settle = () => new Promise((done) => setImmediate(done));

const EMPTY = { items: [], next_cursor: null, read_seq: 0, unread_count: 0, notify: 'all', muted_until: null };
const ASIDE = ['/v1/me/blocks', '/v1/announcements', '/v1/me/notification-preferences', '/v1/notifications'];

export class ByHand {
  /** Signed in and connected, with these conversations; with `aside`, what is asked for besides them is there too. */
  static async begin({ conversations = [conversation()], aside = true } = {}) {
    const one = new ByHand();
    await one.connect();
    await one.answer('GET /v1/conversations', { items: conversations, next_cursor: null });
    if (aside) for (const path of ASIDE) await one.answer(`GET ${path}`, EMPTY);
    return one;
  }

  constructor() {
    this.asked = [];
    this.sent = [];
    this.told = [];
    const ask = (method) => (path) =>
      new Promise((resolve, reject) => this.asked.push({ what: `${method} ${path}`, resolve, reject }));
    const api = { get: ask('GET'), post: ask('POST'), put: ask('PUT'), patch: ask('PATCH'), delete: ask('DELETE') };
    this.sync = new Sync({
      api,
      session: { get: () => ({ user: sender(ME) }) },
      changed() {},
      told: (effect) => this.told.push(effect.type),
    });
    this.sync.socket.request = (type, fields) =>
      new Promise((resolve, reject) => this.sent.push({ type, ...fields, resolve, reject }));
    this.sync.socket.reconnect = () => {};
    this.state = this.sync.state;
  }

  /** A new connection; gives what its `hello` said. */
  async connect({ epoch = 'e', user_seq = 4, announcement_seq = 0, reply = { heads: {}, receipts: [] } } = {}) {
    const limits = { content_chars: 4000 };
    const hello = this.sync.socket.hello({ epoch, user_seq, announcement_seq, limits, user: sender(ME) });
    this.sync.socket.onState({ name: 'connected' });
    this.sync.socket.ready(reply);
    await settle();
    return hello;
  }

  lose() {
    this.sync.socket.onState({ name: 'reconnecting' });
  }

  frame(frame) {
    this.sync.socket.frame(frame);
  }

  /** What is asked for at this path and not answered yet, the oldest first. */
  waiting(what) {
    return this.asked.filter((each) => each.what === what);
  }

  /** The oldest such question, to be answered later. */
  take(what) {
    const at = this.asked.findIndex((each) => each.what === what);
    if (at < 0) throw new Error(`nobody asked ${what}; asked: ${this.asked.map((each) => each.what)}`);
    return this.asked.splice(at, 1)[0];
  }

  async answer(what, answer) {
    this.take(what).resolve(answer);
    await settle();
  }

  async refuse(what, error = {}) {
    this.take(what).reject(Object.assign(new Error('refused'), { status: 0, code: 'network' }, error));
    await settle();
  }

  /** Ends it: a timer that is left would keep the test alive. */
  stop() {
    this.sync.inbox.stop();
    this.sync.markers.stop();
  }
}
