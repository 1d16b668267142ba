// What this client knows: conversations, cursors, markers. Pure: frames and REST answers go in, effects (what
// to ask the server for) come out. Promises: a conversation's changes are applied in seq order, each once; a
// hole is never jumped over but asked for; a `changes` frame moves the cursor from → to in one step.

import { Timeline } from './timeline.js';

/** Most cursors that a resume may name. */
const RESUME_MAX = 1000;
/** Early events kept per conversation while the hole before them is being filled. */
const HELD_MAX = 500;

export class State {
  constructor(me) {
    this.me = me;
    this.epoch = null;
    this.userSeq = 0;
    this.loaded = false;
    this.conversations = new Map();
    /** Conversations that we left: what still comes of them is no news. */
    this.gone = new Set();
  }

  get(id) {
    return this.conversations.get(id) ?? null;
  }

  /** Conversations by last activity, newest first. */
  list() {
    const at = ({ info }) => info.last_activity_at;
    return [...this.conversations.values()].sort((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : 0));
  }

  unreadTotal() {
    let total = 0;
    for (const conversation of this.conversations.values()) total += unread(conversation);
    return total;
  }

  /** A fresh start: everything there is, as of `connected`. */
  load({ epoch, user_seq }, conversations) {
    this.epoch = epoch;
    this.userSeq = user_seq;
    this.loaded = true;
    this.conversations.clear();
    this.gone.clear();
    for (const info of conversations) this.conversations.set(info.id, fresh(info));
  }

  /** Fields of `hello` for a reconnect. */
  resume() {
    const recent = this.list().slice(0, RESUME_MAX);
    const cursors = Object.fromEntries(recent.map((c) => [c.info.id, c.cursor]));
    return { epoch: this.epoch, user_seq: this.userSeq, cursors };
  }

  /** The connection is new: what was held or asked for on the old one comes again after the cursor. */
  forgetPending() {
    for (const conversation of this.conversations.values()) {
      conversation.held.clear();
      conversation.filling = false;
    }
  }

  /** The reply to `hello` after a resume. */
  resumed({ heads = {}, receipts = [] }) {
    const effects = [];
    for (const [id, head] of Object.entries(heads)) {
      const conversation = this.get(id);
      if (!conversation) effects.push({ type: 'fetch', conversation_id: id });
      else if (conversation.cursor < head) effects.push(...this.#fill(conversation));
    }
    for (const receipt of receipts) effects.push(...this.#receipt(receipt));
    return effects;
  }

  /** One event or `changes` frame. */
  apply(frame) {
    if (frame.user_seq > this.userSeq) this.userSeq = frame.user_seq;
    switch (frame.type) {
      case 'message.created':
      case 'message.updated':
      case 'message.deleted':
        return this.#event(frame);
      case 'changes':
        return this.changes(frame);
      case 'conversation.created':
        return this.joined(frame.data);
      case 'participant.removed':
        return this.removed(frame.data.conversation_id);
      case 'receipt.updated':
        return this.#liveReceipt(frame.data);
      case 'resync_required':
        return [{ type: 'resync', conversation_id: frame.data.conversation_id ?? null }];
      default:
        // An event of a newer server.
        return [];
    }
  }

  /** A page of changes: the frame, or the answer of `changes.get`. */
  changes(page) {
    const conversation = this.get(page.conversation_id);
    if (!conversation) return [];
    if (page.from > conversation.cursor) return this.#fill(conversation);
    for (const change of page.changes) {
      if (change.seq > conversation.cursor) this.#change(conversation, change.data);
    }
    conversation.cursor = Math.max(conversation.cursor, page.to);
    return this.#release(conversation);
  }

  /** The answer of `changes.get`; asks on while there is more. */
  filled(page) {
    const conversation = this.get(page.conversation_id);
    if (!conversation) return [];
    const before = conversation.cursor;
    const effects = this.changes(page);
    conversation.filling = false;
    if (!page.more && conversation.held.size === 0) return effects;
    // An answer that leads nowhere would be asked for again for ever.
    if (conversation.cursor > before) effects.push(...this.#fill(conversation));
    else effects.push({ type: 'resync', conversation_id: page.conversation_id });
    return effects;
  }

  /** `changes.get` was refused or lost; the next event or resume asks again. */
  fillFailed(id) {
    const conversation = this.get(id);
    if (conversation) conversation.filling = false;
  }

  /** A conversation is ours: told by the feed, or by the answer to creating or joining it. */
  joined(info) {
    const known = this.get(info.id);
    this.gone.delete(info.id);
    if (!known) {
      this.conversations.set(info.id, fresh(info));
      return [{ type: 'joined', conversation_id: info.id }];
    }
    const { last_message, last_activity_at, ...rest } = info;
    // Events carry what is newer than this copy; only a copy that is ahead of the cursor tells something new.
    if (info.last_seq < known.cursor) return [];
    Object.assign(known.info, rest);
    return info.last_seq > known.cursor ? this.#fill(known) : [];
  }

  /** A conversation is no longer ours. */
  removed(id) {
    const conversation = this.get(id);
    if (!conversation) return [];
    this.conversations.delete(id);
    this.gone.add(id);
    return [{ type: 'left', conversation_id: id, info: conversation.info }];
  }

  /** A conversation as REST has it now, in place of all we knew of it. */
  replace(info) {
    const known = this.get(info.id);
    const next = fresh(info);
    if (known) next.receipts = known.receipts;
    this.conversations.set(info.id, next);
  }

  /** A conversation as REST has it now: corrects the counts, leaves messages and cursor as they are. */
  counted(info) {
    const known = this.get(info.id);
    if (!known) return this.joined(info);
    known.info.read_seq = Math.max(known.info.read_seq, info.read_seq);
    known.info.participant_count = info.participant_count;
    const number = info.last_message?.number ?? null;
    if (number !== null) {
      known.lastNumber = Math.max(known.lastNumber ?? 0, number);
      known.readNumber = Math.max(known.readNumber ?? 0, number - info.unread_count);
    }
    return [];
  }

  /** A message of ours is committed; its event may come before or after. Does not move the cursor. */
  sent(message) {
    const conversation = this.get(message.conversation_id);
    if (conversation && message.seq > conversation.cursor) this.#note(conversation, message, true);
  }

  /** We read up to `seq`; the server confirms later. */
  read(id, seq) {
    const conversation = this.get(id);
    if (conversation) this.#markRead(conversation, seq);
  }

  #event({ conversation_id, seq, data, type }) {
    const conversation = this.get(conversation_id);
    // Ours, but not in what we loaded, or just not ours yet: the server knows.
    if (!conversation) return this.gone.has(conversation_id) ? [] : [{ type: 'fetch', conversation_id }];
    if (seq <= conversation.cursor) return [];
    if (seq > conversation.cursor + 1) {
      if (conversation.held.size < HELD_MAX) conversation.held.set(seq, { conversation_id, seq, data, type });
      return this.#fill(conversation);
    }
    this.#change(conversation, data);
    conversation.cursor = seq;
    // The last event that we get here; the feed says it too, a moment later.
    if (data.system?.type === 'participant.removed' && data.system.user.id === this.me)
      return this.removed(conversation_id);
    const effects = [];
    if (type === 'message.created' && data.kind !== 'system') {
      effects.push({ type: 'arrived', message: data }, ...this.#newcomer(conversation, data.sender.id));
    }
    effects.push(...this.#release(conversation));
    return effects;
  }

  /** People come to a public room without a message: somebody new means that the count we have is old. */
  #newcomer({ info, receipts }, user) {
    if (info.kind !== 'public' || user === this.me || receipts.has(user)) return [];
    receipts.set(user, { delivered_seq: 0, read_seq: 0 });
    return [{ type: 'fetch', conversation_id: info.id }];
  }

  /** Applies held events that are next; forgets those that a page covered; asks again when a hole is left. */
  #release(conversation) {
    const effects = [];
    for (const seq of [...conversation.held.keys()].sort((a, b) => a - b)) {
      if (seq > conversation.cursor + 1) break;
      const event = conversation.held.get(seq);
      conversation.held.delete(seq);
      if (seq > conversation.cursor) effects.push(...this.#event(event));
    }
    if (conversation.held.size > 0) effects.push(...this.#fill(conversation));
    return effects;
  }

  #fill(conversation) {
    if (conversation.filling) return [];
    conversation.filling = true;
    return [{ type: 'fill', conversation_id: conversation.info.id, after: conversation.cursor }];
  }

  /** One message created or changed, in order. */
  #change(conversation, message) {
    const isNew = message.seq > conversation.cursor;
    this.#note(conversation, message, isNew);
    if (isNew && message.kind === 'system') applySystem(conversation.info, message.system, this.me);
  }

  #note(conversation, message, isNew) {
    const { info } = conversation;
    conversation.timeline.put(message, isNew);
    const last = info.last_message;
    if (!last || message.seq > last.seq) {
      info.last_message = message;
      info.last_activity_at = message.created_at;
    } else if (message.seq === last.seq && message.changed_seq > last.changed_seq) {
      info.last_message = message;
    }
    if (!isNew) return;
    // The first message ever seen tells where counting starts.
    conversation.lastNumber ??= message.number - (message.kind === 'system' ? 0 : 1);
    conversation.readNumber ??= conversation.lastNumber - info.unread_count;
    conversation.lastNumber = Math.max(conversation.lastNumber, message.number);
    if (message.sender.id === this.me && message.kind !== 'system') this.#markRead(conversation, message.seq);
  }

  #liveReceipt(receipt) {
    const conversation = this.get(receipt.conversation_id);
    return conversation ? [...this.#newcomer(conversation, receipt.user_id), ...this.#receipt(receipt)] : [];
  }

  #receipt({ conversation_id, user_id, delivered_seq, read_seq }) {
    const conversation = this.get(conversation_id);
    if (!conversation) return [];
    const known = conversation.receipts.get(user_id) ?? { delivered_seq: 0, read_seq: 0 };
    conversation.receipts.set(user_id, {
      delivered_seq: Math.max(known.delivered_seq, delivered_seq),
      read_seq: Math.max(known.read_seq, read_seq),
    });
    if (user_id !== this.me) return [];
    return this.#markRead(conversation, read_seq) ? [] : [{ type: 'fetch', conversation_id }];
  }

  /** Moves our own marker; false when the unread count that results is not known here. */
  #markRead(conversation, seq) {
    const { info, timeline } = conversation;
    if (seq <= info.read_seq) return true;
    if (seq >= (info.last_message?.seq ?? 0)) {
      info.read_seq = seq;
      conversation.readNumber = conversation.lastNumber;
      return true;
    }
    const message = timeline.list().findLast((m) => m.seq <= seq);
    if (!message) return false;
    info.read_seq = seq;
    conversation.readNumber = Math.max(conversation.readNumber ?? 0, message.number);
    return true;
  }
}

/** Messages after our marker, derived, never counted up. */
export function unread({ lastNumber, readNumber, info }) {
  if (lastNumber === null) return info.unread_count;
  return Math.max(0, lastNumber - readNumber);
}

/** How many others read up to a place. */
export function readers(conversation, seq, me) {
  let n = 0;
  for (const [user, { read_seq }] of conversation.receipts) if (user !== me && read_seq >= seq) n += 1;
  return n;
}

function fresh(info) {
  const lastNumber = info.last_message?.number ?? null;
  return {
    info: { ...info },
    /** Highest seq up to which nothing is missing. */
    cursor: info.last_seq,
    lastNumber,
    readNumber: lastNumber === null ? null : lastNumber - info.unread_count,
    held: new Map(),
    filling: false,
    receipts: new Map(),
    timeline: new Timeline(),
  };
}

function applySystem(info, system, me) {
  switch (system?.type) {
    case 'conversation.updated':
      Object.assign(info, system.changes);
      break;
    case 'conversation.deleted':
      info.archived_at ??= new Date(0).toISOString();
      break;
    case 'participant.added':
      info.participant_count += system.users.length;
      break;
    case 'participant.removed':
      info.participant_count = Math.max(0, info.participant_count - 1);
      break;
    case 'participant.updated':
      if (system.user.id === me) info.role = system.role;
      break;
    default:
  }
}
