// Keeps the state equal to the server's: fresh start, resume, gap fills, history pages, markers, sending.
// Joins socket, REST and state; decides nothing about how they look.

import { Outbox, TRY_AGAIN } from './outbox.js';
import { Socket } from './socket.js';
import { State } from './state.js';

const PAGE = 50;
const LIST_PAGE = 100;
/** As many conversations as a resume can name. */
const LIST_MAX = 1000;
/** Renewed this long before the access token ends. */
const RENEW_AHEAD_MS = 60_000;
const RETRY_MS = 2000;
/** A timer that is set further ahead fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Sync {
  /** `changed()`: something to show is different. `told(effect)`: `arrived`, `left`, `joined`, `stopped`. */
  constructor({ api, session, changed, told }) {
    Object.assign(this, { api, session, changed, told });
    this.me = session.get().user;
    this.state = new State(this.me.id);
    this.connection = { name: 'connecting' };
    this.limits = { content_chars: 4000 };
    this.queue = null;
    this.fetching = new Set();
    /** Read markers that the server has not confirmed. */
    this.reads = new Map();
    this.socket = new Socket({
      url: () => this.#url(),
      hello: (connected) => this.#hello(connected),
      ready: (reply) => this.#ready(reply),
      frame: (frame) => (this.queue ? this.queue.push(frame) : this.#apply(frame)),
      state: (connection) => this.#connection(connection),
    });
    this.outbox = new Outbox({
      send: ({ conversation_id, client_id, content }) =>
        this.socket.request('message.send', { conversation_id, client_id, content }),
      sent: (message) => {
        this.state.sent(message);
        this.changed();
      },
      changed: () => this.changed(),
      storage: window.sessionStorage,
      key: `starling.outbox.${this.me.id}`,
    });
  }

  start() {
    this.socket.start();
  }

  /** Ends for good. With `forget`, unsent messages are dropped too. */
  stop(forget = false) {
    clearTimeout(this.renewal);
    this.socket.stop();
    if (forget) this.outbox.clear();
    else this.outbox.setOnline(false);
  }

  /** Loads the newest messages of a conversation, once. */
  async open(id) {
    const conversation = this.state.get(id);
    if (conversation?.timeline.status !== 'empty') return;
    const { timeline } = conversation;
    timeline.startLatest();
    if (conversation.info.kind === 'public') this.#do({ type: 'fetch', conversation_id: id });
    const [page] = await Promise.all([this.#history(id, null), this.#loadReceipts(id)]);
    if (timeline.status !== 'loading') return;
    if (page) {
      timeline.addPage(page);
      this.changed();
      return;
    }
    // Whoever shows it asks again as soon as it is empty.
    setTimeout(() => {
      if (timeline.status === 'loading') timeline.failed();
      this.changed();
    }, RETRY_MS);
  }

  /** Loads the page before the oldest loaded message. */
  async older(id) {
    const timeline = this.state.get(id)?.timeline;
    if (timeline?.status !== 'ready' || timeline.complete || timeline.loadingOlder) return;
    timeline.startOlder();
    this.changed();
    const page = await this.#history(id, timeline.oldest());
    if (!timeline.loadingOlder) return;
    if (page) timeline.addPage(page);
    else timeline.failed();
    this.changed();
  }

  /** The user sees everything of this conversation. */
  markRead(id) {
    const conversation = this.state.get(id);
    const seq = conversation?.info.last_message?.seq ?? 0;
    if (!conversation || seq <= conversation.info.read_seq) return;
    this.state.read(id, seq);
    this.reads.set(id, seq);
    this.#sendReads();
    this.changed();
  }

  /** A conversation that a REST answer says is ours. */
  joined(info) {
    this.#run(this.state.joined(info));
    this.changed();
  }

  left(id) {
    this.#run(this.state.removed(id));
    this.changed();
  }

  /** A message as REST answered an edit or delete; the event comes too. */
  changedMessage(message) {
    this.state.get(message.conversation_id)?.timeline.put(message, false);
    this.changed();
  }

  /** Tells the server of markers; those whose answer does not come are told again on the next connection. */
  #sendReads() {
    if (this.connection.name !== 'connected') return;
    for (const [id, seq] of this.reads) {
      const done = () => this.reads.get(id) === seq && this.reads.delete(id);
      this.socket.request('receipt.read', { conversation_id: id, seq }).then(done, (error) => {
        if (!TRY_AGAIN.has(error.code)) done();
        else if (error.retryAfterMs) setTimeout(() => this.#sendReads(), error.retryAfterMs);
      });
    }
  }

  async #url() {
    const { ticket } = await this.api.post('/v1/tickets', {});
    const url = new URL('/v1/ws', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('ticket', ticket);
    return url.href;
  }

  #hello(connected) {
    this.limits = connected.limits;
    this.connected = connected;
    this.state.forgetPending();
    this.#renewLater();
    if (this.state.loaded && connected.epoch === this.state.epoch) {
      this.fresh = null;
      this.queue = null;
      return { resume: this.state.resume() };
    }
    this.#beginFresh();
    return {};
  }

  /** Events wait in the queue until the list that they change is loaded. */
  #beginFresh() {
    this.queue = [];
    this.fresh = this.connected;
  }

  async #ready(reply) {
    if (!reply) this.#beginFresh();
    if (this.fresh) await this.#load(this.fresh);
    else this.#run(this.state.resumed(reply));
    if (this.connection.name === 'connected' && !this.queue) {
      this.outbox.setOnline(true);
      this.#sendReads();
    }
    this.changed();
  }

  async #load(connected) {
    const conversations = [];
    try {
      let cursor = null;
      do {
        const page = await this.api.get('/v1/conversations', { limit: LIST_PAGE, cursor });
        conversations.push(...page.items);
        cursor = page.next_cursor;
      } while (cursor && conversations.length < LIST_MAX);
    } catch {
      if (this.fresh === connected) setTimeout(() => this.fresh === connected && this.socket.reconnect(), RETRY_MS);
      return;
    }
    if (this.fresh !== connected) return;
    this.state.load(connected, conversations);
    const queue = this.queue;
    this.queue = null;
    this.fresh = null;
    for (const frame of queue) this.#apply(frame);
  }

  #connection(connection) {
    this.connection = connection;
    if (connection.name !== 'connected') this.outbox.setOnline(false);
    if (connection.name === 'stopped') {
      clearTimeout(this.renewal);
      this.told({ type: 'stopped', ...connection });
    }
    this.changed();
  }

  #apply(frame) {
    if (frame.type.startsWith('message.')) this.#confirm(frame.data);
    if (frame.type === 'changes') for (const change of frame.changes) this.#confirm(change.data);
    this.#run(this.state.apply(frame));
    this.changed();
  }

  #confirm(message) {
    if (message.sender.id === this.me.id) this.outbox.confirm(message);
  }

  #run(effects) {
    for (const effect of effects) this.#do(effect);
  }

  #do(effect) {
    switch (effect.type) {
      case 'fill':
        this.#fill(effect);
        break;
      case 'fetch':
        this.#fetch(effect.conversation_id, (info) => this.state.counted(info));
        break;
      case 'resync':
        if (effect.conversation_id) this.#fetch(effect.conversation_id, (info) => this.state.replace(info) ?? []);
        else this.#startAgain();
        break;
      default:
        this.told(effect);
    }
  }

  async #fill({ conversation_id, after }) {
    try {
      const page = await this.socket.request('changes.get', { conversation_id, after });
      for (const change of page.changes) this.#confirm(change.data);
      this.#run(this.state.filled(page));
    } catch (error) {
      this.state.fillFailed(conversation_id);
      if (error.code === 'rate_limited' || error.code === 'unavailable' || error.code === 'overloaded') {
        setTimeout(() => this.#again(conversation_id), error.retryAfterMs ?? RETRY_MS);
      }
    }
    this.changed();
  }

  #again(id) {
    const conversation = this.state.get(id);
    if (!conversation || conversation.filling || this.connection.name !== 'connected') return;
    conversation.filling = true;
    this.#fill({ conversation_id: id, after: conversation.cursor });
  }

  /** Asks for one conversation and hands it to `use`, unless it turns out not to be ours. */
  async #fetch(id, use) {
    if (this.fetching.has(id)) return;
    this.fetching.add(id);
    try {
      const info = await this.api.get(`/v1/conversations/${id}`);
      this.#run(info.role === null ? this.state.removed(id) : use(info));
    } catch (error) {
      if (error.status === 404 || error.status === 403) this.#run(this.state.removed(id));
    }
    this.fetching.delete(id);
    this.changed();
  }

  /** Cursors mean nothing any more: begin as if the page had just been opened. */
  #startAgain() {
    this.state.loaded = false;
    this.socket.reconnect();
  }

  async #history(id, before) {
    try {
      return await this.api.get(`/v1/conversations/${id}/messages`, { limit: PAGE, before });
    } catch {
      return null;
    }
  }

  async #loadReceipts(id) {
    try {
      const page = await this.api.get(`/v1/conversations/${id}/participants`, { limit: 100 });
      const others = page.items.filter(({ user }) => user.id !== this.me.id);
      const receipts = others.map(({ user, read_seq, delivered_seq }) => ({
        conversation_id: id,
        user_id: user.id,
        read_seq,
        delivered_seq,
      }));
      this.#run(this.state.resumed({ receipts }));
    } catch {
      // Only the read ticks miss something.
    }
  }

  /** The socket outlives its access token when a fresh one is handed in before the old one ends. */
  #renewLater() {
    clearTimeout(this.renewal);
    const ends = this.session.get()?.expires_at;
    if (!ends) return;
    this.renewal = setTimeout(
      async () => {
        try {
          const token = await this.api.token(RENEW_AHEAD_MS + 5000);
          await this.socket.request('auth.renew', { token });
        } catch {
          // The server closes with 4003 and the next connection brings a fresh token.
        }
        this.#renewLater();
      },
      Math.min(LONGEST_TIMER_MS, Math.max(RETRY_MS, ends - Date.now() - RENEW_AHEAD_MS)),
    );
  }
}
