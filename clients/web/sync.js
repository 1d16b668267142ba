// Keeps the state equal to the server's: fresh start, resume, gap fills, history pages, markers, sending.
// Joins socket, REST and state; decides nothing about how they look.

import { Aside } from './aside.js';
import { Inbox } from './inbox.js';
import { Markers } from './markers.js';
import { Outbox } from './outbox.js';
import { allPages } from './pages.js';
import { Participants } from './participants.js';
import { toggled } from './reactions.js';
import { Signals } from './signals.js';
import { Socket } from './socket.js';
import { State } from './state.js';

const PAGE = 50;
/** As many conversations as a resume can name. */
const LIST_MAX = 1000;
/** Renewed this long before the access token ends. */
const RENEW_AHEAD_MS = 60_000;
const RETRY_MS = 2000;
/** A timer that is set further ahead fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Sync {
  /**
   * `changed()`: something to show is different. `told(effect)`: `arrived`, `left`, `joined`, `loaded`, `notified`,
   * `profile`, `settled` (whom we block and what we want to be told of is known), `stopped`.
   */
  constructor({ api, session, changed, told }) {
    Object.assign(this, { api, session, changed, told });
    this.me = session.get().user;
    this.state = new State(this.me.id);
    this.connection = { name: 'connecting' };
    this.limits = { content_chars: 4000 };
    this.queue = null;
    /** Conversations that are asked for now, by id: whether `again`, and how then. */
    this.fetching = new Map();
    this.people = new Participants({ api, state: this.state, changed });
    this.socket = new Socket({
      url: () => this.#url(),
      hello: (connected) => this.#hello(connected),
      ready: (reply) => this.#ready(reply),
      frame: (frame) => (this.queue ? this.queue.push(frame) : this.#apply(frame)),
      state: (connection) => this.#connection(connection),
    });
    this.outbox = new Outbox({
      send: ({ conversation_id, client_id, content, reply_to, thread_root_id }) =>
        this.socket.request('message.send', {
          conversation_id,
          client_id,
          content,
          reply_to_id: reply_to?.id,
          thread_root_id: thread_root_id ?? undefined,
        }),
      sent: (message) => {
        this.state.sent(message);
        this.changed();
      },
      changed: () => this.changed(),
      storage: window.sessionStorage,
      key: `starling.outbox.${this.me.id}`,
    });
    this.markers = new Markers({
      me: this.me.id,
      state: this.state,
      request: (type, fields) => this.socket.request(type, fields),
      online: () => this.connection.name === 'connected',
    });
    this.inbox = new Inbox({ api, notices: this.state.notices, changed });
    this.aside = new Aside({ api, state: this.state, changed, settled: () => told({ type: 'settled' }) });
    this.signals = new Signals({
      request: (type, fields) => this.socket.request(type, fields),
      present: (items) => {
        this.state.present(items);
        this.changed();
      },
    });
  }

  start() {
    this.socket.start();
  }

  /** Ends for good. With `forget`, unsent messages are dropped too. */
  stop(forget = false) {
    clearTimeout(this.renewal);
    this.inbox.stop();
    this.markers.stop();
    this.signals.lost();
    this.socket.stop();
    if (forget) this.outbox.clear();
    else this.outbox.setOnline(false);
  }

  /** Loads the newest messages of a conversation, once. */
  async open(id) {
    const conversation = this.state.get(id);
    if (conversation?.timeline.status !== 'empty') return;
    const { timeline } = conversation;
    const { version } = timeline;
    timeline.startLatest();
    if (conversation.info.kind === 'public') this.#fetch(id);
    const [page] = await Promise.all([this.#history(id), this.people.load(id)]);
    if (timeline.version !== version) return;
    if (page) this.#take(page, () => timeline.addPage(page));
    else this.#failLater(timeline);
    this.changed();
  }

  /** Loads the page before the oldest loaded message. */
  async older(id) {
    const timeline = this.state.get(id)?.timeline;
    if (timeline?.status !== 'ready' || timeline.complete || timeline.loadingOlder) return;
    const { version } = timeline;
    timeline.startOlder();
    this.changed();
    const page = await this.#history(id, { before: timeline.oldest() });
    if (timeline.version !== version) return;
    if (page) this.#take(page, () => timeline.addPage(page));
    else this.#failLater(timeline, 'older');
    this.changed();
  }

  /** Loads the page after the newest loaded message, in a window that somebody jumped to. */
  async newer(id) {
    const timeline = this.state.get(id)?.timeline;
    if (timeline?.status !== 'ready' || timeline.live || timeline.loadingNewer) return;
    const { version } = timeline;
    timeline.startNewer();
    const page = await this.#history(id, { after: timeline.newest() });
    if (timeline.version !== version) return;
    if (page) this.#take(page, () => timeline.addNewer(page));
    else this.#failLater(timeline, 'newer');
    this.changed();
  }

  /** Loads what is around a place, unless it is loaded; resolves to whether the message is there now. */
  async around(id, seq) {
    const conversation = this.state.get(id);
    if (!conversation) return false;
    if (conversation.timeline.at(seq)) return true;
    const { timeline } = conversation;
    timeline.startAround();
    const { version } = timeline;
    this.changed();
    const [page] = await Promise.all([this.#history(id, { around: seq }), this.people.load(id)]);
    if (timeline.version !== version) return Boolean(timeline.at(seq));
    if (page) this.#take(page, () => timeline.addAround(page, conversation.info.last_message?.seq ?? 0));
    else timeline.failed();
    this.changed();
    return Boolean(timeline.at(seq));
  }

  /** Back from a window to the newest messages. */
  latest(id) {
    this.state.get(id)?.timeline.clear();
    return this.open(id);
  }

  /** Adds or takes back our reaction; shown before the server answers. */
  async react(message, emoji) {
    const conversation = this.state.get(message.conversation_id);
    const mine = message.reactions.find((r) => r.emoji === emoji)?.mine;
    conversation?.timeline.guess(toggled(message, emoji, this.me.id));
    this.changed();
    try {
      const type = mine ? 'reaction.remove' : 'reaction.add';
      this.changedMessage(await this.socket.request(type, { message_id: message.id, emoji }));
    } catch (error) {
      const now = conversation?.timeline.at(message.seq);
      if (now?.changed_seq === message.changed_seq) conversation.timeline.guess(message);
      this.changed();
      throw error;
    }
  }

  /** Our settings of a conversation: only the named fields change. */
  prefer(id, patch) {
    return this.#setting(
      () => this.api.patch(`/v1/conversations/${id}/preferences`, patch),
      (settings) => this.state.preferences(settings),
    );
  }

  /** Blocks somebody, or no longer. */
  block(id, blocked) {
    const path = `/v1/users/${id}/block`;
    const event = { type: blocked ? 'user.blocked' : 'user.unblocked', data: { user_id: id } };
    return this.#setting(
      () => (blocked ? this.api.put(path) : this.api.delete(path)),
      () => this.state.apply(event),
    );
  }

  /** A setting of ours that the feed tells too: where it told something since, the answer may be the older one. */
  async #setting(ask, use) {
    const before = this.state.userSeq;
    const answer = await ask();
    if (this.state.userSeq === before) use(answer);
    this.changed();
  }

  /** The announcements that are shown were read. */
  async announcementsRead() {
    const seq = this.state.announcements.at(-1)?.seq;
    if (!seq) return;
    this.state.apply({ type: 'announcements.read', data: { read_seq: seq } });
    this.changed();
    await this.api.post('/v1/announcements/read', { seq });
  }

  /** The user sees everything of this conversation. */
  markRead(id) {
    const conversation = this.state.get(id);
    this.inbox.seen(id);
    const seq = conversation?.info.last_message?.seq ?? 0;
    if (!conversation || seq <= conversation.info.read_seq) return;
    this.state.read(id, seq);
    this.markers.read(id, seq);
    this.changed();
  }

  /** Our profile as the server has it now. */
  profile(user) {
    this.#run(this.state.apply({ type: 'user.updated', data: user }));
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

  /** A message as the server answered a change of it; the event comes too. */
  changedMessage(message) {
    this.state.changed(message);
    this.changed();
  }

  async #url() {
    const { ticket } = await this.api.post('/v1/tickets', {});
    const url = new URL('/v1/ws', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('ticket', ticket);
    // Events are held until `hello`, however slow the network.
    url.searchParams.set('await_hello', 'true');
    return url.href;
  }

  #hello(connected) {
    this.limits = connected.limits;
    this.connected = connected;
    this.told({ type: 'profile', user: connected.user });
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
    else {
      this.#run(this.state.resumed(reply));
      // A resume brings what changed, not what never came.
      if (!this.state.notices.loaded) this.inbox.load().catch(() => {});
      this.aside.resumed();
    }
    if (this.connection.name === 'connected' && !this.queue) {
      this.outbox.setOnline(true);
      this.markers.connected();
      this.signals.connected();
    }
    this.changed();
  }

  async #load(connected) {
    let conversations;
    try {
      conversations = await allPages(this.api, '/v1/conversations', LIST_MAX);
    } catch {
      if (this.fresh === connected) setTimeout(() => this.fresh === connected && this.socket.reconnect(), RETRY_MS);
      return;
    }
    if (this.fresh !== connected) return;
    this.state.load(connected, conversations.items);
    if (conversations.whole) this.told({ type: 'loaded' });
    this.inbox.load().catch(() => {});
    this.aside.load();
    const queue = this.queue;
    this.queue = null;
    this.fresh = null;
    for (const frame of queue) this.#apply(frame);
  }

  #connection(connection) {
    this.connection = connection;
    if (connection.name !== 'connected') {
      this.outbox.setOnline(false);
      this.signals.lost();
    }
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
    if (frame.type === 'message.created' || frame.type === 'changes') this.markers.deliverLater();
    if (frame.type === 'message.created' && frame.data.system?.type.startsWith('participant.'))
      this.people.again(frame.conversation_id);
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
        this.#fetch(effect.conversation_id);
        this.people.again(effect.conversation_id);
        break;
      case 'resync':
        if (effect.conversation_id) this.#fetch(effect.conversation_id, { anew: true });
        else this.#startAgain();
        break;
      case 'recount':
        this.inbox.recount();
        break;
      case 'profile':
        this.people.renamed(effect.user);
        this.told(effect);
        break;
      case 'joined':
        // It may come with messages that nothing else tells of.
        this.markers.deliverLater();
        this.told(effect);
        break;
      case 'typing':
        // Nobody tells when it ends unless they stop.
        setTimeout(() => this.changed(), effect.until - Date.now() + 50);
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
      this.markers.deliverLater();
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

  /**
   * Asks for one conversation as it is now: for its counts or, `anew`, for all of it. What makes us ask while an answer
   * is on its way may be newer than it: then once more. `missed`: an event came before we knew the conversation.
   */
  async #fetch(id, { anew = false, missed = false } = {}) {
    const coming = this.fetching.get(id);
    if (coming) {
      coming.again = true;
      coming.anew ||= anew;
      coming.missed ||= !this.state.get(id);
      return;
    }
    const next = { again: false, anew: false, missed: false };
    this.fetching.set(id, next);
    try {
      const info = await this.api.get(`/v1/conversations/${id}`);
      const use = () => (anew ? this.state.replace(info) : this.state.counted(info, missed));
      this.#run(info.role === null ? this.state.removed(id) : use());
    } catch (error) {
      if (error.status === 404 || error.status === 403) this.#run(this.state.removed(id));
    }
    this.fetching.delete(id);
    if (next.again) this.#fetch(id, next);
    this.changed();
  }

  /** Cursors mean nothing any more: begin as if the page had just been opened. */
  #startAgain() {
    this.state.loaded = false;
    this.socket.reconnect();
  }

  /** A page of messages; null where it did not come. */
  async #history(id, where = {}) {
    try {
      const page = await this.api.get(`/v1/conversations/${id}/messages`, { limit: PAGE, ...where });
      return { ...page, items: page.items.map((message) => this.state.named(message)) };
    } catch {
      return null;
    }
  }

  /** A page is shown from now on: what was on its way to the server and is in it no longer is. */
  #take(page, add) {
    add();
    for (const message of page.items) this.#confirm(message);
  }

  /** A page did not come. Whoever shows the conversation asks again as soon as that is known: not at once. */
  #failLater(timeline, which) {
    const { version } = timeline;
    setTimeout(() => {
      if (timeline.version === version) timeline.failed(which);
      this.changed();
    }, RETRY_MS);
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
