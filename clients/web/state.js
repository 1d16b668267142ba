// What this client knows: conversations and cursors, who is there, whom we block, what we were told of. Pure:
// frames and REST answers go in, effects (what to ask the server for) come out. Promises: a conversation's changes are
// applied in seq order, each once; a hole is never jumped over but asked for; a `changes` frame moves the cursor
// from → to in one step.

import {
  applySystem,
  fresh,
  markRead,
  mentioned,
  muted,
  note,
  noteReceipt,
  noteTyping,
  unread,
} from './conversation.js';
import { Notices } from './notices.js';

/** Most cursors that a resume may name. */
const RESUME_MAX = 1000;
/** Early events kept per conversation while the hole before them is being filled. */
const HELD_MAX = 500;
/** Events about what REST tells besides conversations. */
const ASIDE = new Set([
  'user.blocked',
  'user.unblocked',
  'announcement',
  'announcements.read',
  'notification_preferences.updated',
]);

export class State {
  constructor(me) {
    this.me = me;
    this.epoch = null;
    this.userSeq = 0;
    this.loaded = false;
    this.conversations = new Map();
    /** Conversations that we left: what still comes of them is no news. */
    this.gone = new Set();
    /** Who is there, by user. */
    this.presence = new Map();
    /** Names and pictures that were told on this connection, by user. */
    this.profiles = new Map();
    /** Whom we block. */
    this.blocked = new Set();
    /** News of the org that we did not read, oldest first, and how far we have them. */
    this.announcements = [];
    this.announcementSeq = 0;
    this.notices = new Notices();
    /** What we want to be told of, in all conversations. */
    this.preferred = { notify: 'all', muted_until: null };
    /** Events about blocks, announcements and this preference that came since REST was asked for them. */
    this.overtaking = null;
    /** REST was asked for them and answered, as far as it could. */
    this.settled = false;
  }

  get(id) {
    return this.conversations.get(id) ?? null;
  }

  /** Conversations by last activity, newest first; those that we pinned before all others. */
  list() {
    const pinned = ({ info }) => (info.pinned_at ? 1 : 0);
    const at = ({ info }) => info.last_activity_at;
    const later = (a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : 0);
    return [...this.conversations.values()].sort((a, b) => pinned(b) - pinned(a) || later(a, b));
  }

  /** What counts for the title: messages where nothing is muted, mentions everywhere. */
  unreadTotal() {
    let total = 0;
    for (const conversation of this.conversations.values())
      total += muted(conversation) ? mentioned(conversation) : unread(conversation);
    return total;
  }

  /** A fresh start: everything there is, as of `connected`. */
  load({ epoch, user_seq, announcement_seq = 0 }, conversations) {
    // What another history told is not there any more.
    if (this.epoch !== null && this.epoch !== epoch) {
      this.notices.clear();
      this.announcements = [];
    }
    this.announcementSeq = announcement_seq;
    this.epoch = epoch;
    this.userSeq = user_seq;
    this.loaded = true;
    this.conversations.clear();
    this.gone.clear();
    for (const info of conversations) this.#add(info);
  }

  /** REST is asked for what `aside` takes: events overtake its answers from now on. */
  askAside() {
    this.overtaking = [];
    return this.overtaking;
  }

  /**
   * Whom we block, what was announced and what we want to be told of, as far as REST told them. `overtaking` is what
   * `askAside` gave: those events may be newer than the answers, so they count once more. False for an answer to an
   * earlier question than the last: it is too old.
   */
  aside(overtaking, { blocks, announcements, preferred }) {
    if (overtaking !== this.overtaking) return false;
    this.overtaking = null;
    this.settled = true;
    if (blocks) this.blocked = new Set(blocks.map(({ id }) => id));
    if (announcements) {
      this.announcementSeq = announcements.items[0]?.seq ?? 0;
      this.announcements = announcements.items.filter(({ seq }) => seq > announcements.read_seq).reverse();
    }
    if (preferred) this.preferred = preferred;
    // Whoever shows them was told when they came.
    for (const frame of overtaking) this.apply(frame);
    return true;
  }

  /** Presence of some users, as of now. */
  present(items) {
    for (const presence of items) this.presence.set(presence.user_id, presence);
  }

  /** Fields of `hello` for a reconnect. */
  resume() {
    const recent = this.list().slice(0, RESUME_MAX);
    const cursors = Object.fromEntries(recent.map((c) => [c.info.id, c.cursor]));
    return { epoch: this.epoch, user_seq: this.userSeq, cursors, announcement_seq: this.announcementSeq };
  }

  /** The connection is new: what was held or asked for on the old one comes again after the cursor. */
  forgetPending() {
    this.profiles.clear();
    for (const conversation of this.conversations.values()) {
      conversation.held.clear();
      conversation.filling = false;
      conversation.typing.clear();
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
  apply(frame, now = Date.now()) {
    if (frame.user_seq > this.userSeq) this.userSeq = frame.user_seq;
    if (ASIDE.has(frame.type)) this.overtaking?.push(frame);
    switch (frame.type) {
      case 'message.created':
      case 'message.updated':
      case 'message.deleted':
      case 'reaction.added':
      case 'reaction.removed':
        return this.#event(frame);
      case 'changes':
        return this.changes(frame);
      case 'conversation.created':
        return this.#created(frame.data);
      case 'participant.removed':
        return this.removed(frame.data.conversation_id);
      case 'receipt.updated':
        return this.#liveReceipt(frame.data);
      case 'typing':
        return this.#typing(frame, now);
      case 'presence.updated':
        this.present([frame.data]);
        return [];
      case 'user.updated':
        this.#profile(frame.data);
        return [{ type: 'profile', user: frame.data }];
      case 'announcements.read':
        this.announcements = this.announcements.filter(({ seq }) => seq > frame.data.read_seq);
        return [];
      case 'preferences.updated':
        this.preferences(frame.data);
        return [];
      case 'user.blocked':
        this.blocked.add(frame.data.user_id);
        return [];
      case 'user.unblocked':
        this.blocked.delete(frame.data.user_id);
        return [];
      case 'announcement':
        return this.#announcement(frame.data);
      case 'notification.created':
      case 'notification.updated':
        return this.#notice(frame.data);
      case 'notification_preferences.updated':
        this.preferred = frame.data;
        return [];
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
      this.#add(info);
      return [{ type: 'joined', conversation_id: info.id }];
    }
    const { last_message, last_activity_at, last_number, read_number, read_seq, ...rest } = info;
    const { mention_seqs, mention_count, ...told } = rest;
    // Events carry what is newer than this copy; only a copy that is ahead of the cursor tells something new.
    if (info.last_seq < known.cursor) return [];
    Object.assign(known.info, told);
    return info.last_seq > known.cursor ? this.#fill(known) : [];
  }

  /** A conversation is no longer ours. */
  removed(id) {
    const conversation = this.get(id);
    // Also where it is not known: an answer about it may be on its way.
    this.gone.add(id);
    if (!conversation) return [];
    this.conversations.delete(id);
    return [{ type: 'left', conversation_id: id, info: conversation.info }];
  }

  /** A conversation as REST has it now, in place of all we knew of it. */
  replace(info) {
    if (this.gone.has(info.id)) return [];
    const known = this.get(info.id);
    this.#add(info);
    if (!known) return [];
    const { receipts, held } = known;
    return this.#release(Object.assign(this.get(info.id), { receipts, held }));
  }

  /**
   * A conversation as REST has it now: corrects the counts, leaves messages as they are. `missed`: an event of it came
   * before we knew it, and nothing else tells of that.
   */
  counted(info, missed = false) {
    if (this.gone.has(info.id)) return [];
    const known = this.get(info.id);
    if (!known) return this.joined(info);
    const ours = known.info;
    ours.participant_count = info.participant_count;
    ours.last_number = Math.max(ours.last_number, info.last_number);
    markRead(known, info.read_seq, info.read_number);
    if (info.read_seq === ours.read_seq) {
      ours.read_number = Math.max(ours.read_number, info.read_number);
      if (info.last_seq >= known.cursor) {
        ours.mention_seqs = info.mention_seqs;
        ours.mention_count = info.mention_count;
      }
    }
    return missed && info.last_seq > known.cursor ? this.#fill(known) : [];
  }

  /** Who takes part, as REST tells it; where that is `all`, nobody else has a marker. */
  participants(id, items, all) {
    const conversation = this.get(id);
    if (!conversation) return;
    const others = items.filter(({ user }) => user.id !== this.me);
    const there = new Set([this.me, ...others.map(({ user }) => user.id)]);
    if (all) for (const user of conversation.receipts.keys()) if (!there.has(user)) conversation.receipts.delete(user);
    for (const { user, read_seq, delivered_seq } of others)
      noteReceipt(conversation, { user_id: user.id, read_seq, delivered_seq }, this.me);
  }

  /** Our settings of a conversation. */
  preferences({ conversation_id, muted_until, notify, pinned_at }) {
    const conversation = this.get(conversation_id);
    if (conversation) Object.assign(conversation.info, { muted_until, notify, pinned_at });
  }

  /** A message of ours is committed; its event may come before or after. Does not move the cursor. */
  sent(message) {
    const conversation = this.get(message.conversation_id);
    if (conversation && message.seq > conversation.cursor) note(conversation, message, { isNew: true, me: this.me });
  }

  /** The answer to a change of a message; its event may come before or after. */
  changed(message) {
    const conversation = this.get(message.conversation_id);
    if (conversation) note(conversation, message, { isNew: false, me: this.me });
  }

  /** We read up to `seq`; the server confirms later. */
  read(id, seq) {
    const conversation = this.get(id);
    if (conversation) markRead(conversation, seq);
  }

  /** The feed says that it is ours, as it is now: what was said in it meanwhile is not told apart. */
  #created(info) {
    const effects = this.joined(info);
    const last = info.last_message;
    const isNew = effects.some(({ type }) => type === 'joined');
    if (isNew && last?.kind === 'text' && last.sender.id !== this.me && last.seq > info.read_seq)
      effects.push({ type: 'arrived', message: last });
    return effects;
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
    const { reaction, ...message } = data;
    this.#change(conversation, message, reaction && { ...reaction, added: type === 'reaction.added' });
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
  #change(conversation, message, reaction = null) {
    const isNew = message.seq > conversation.cursor;
    note(conversation, message, { isNew, me: this.me, reaction });
    if (isNew && message.kind === 'system') applySystem(conversation, message, this.me);
  }

  #liveReceipt(receipt) {
    const conversation = this.get(receipt.conversation_id);
    return conversation ? [...this.#newcomer(conversation, receipt.user_id), ...this.#receipt(receipt)] : [];
  }

  #receipt(receipt) {
    const conversation = this.get(receipt.conversation_id);
    if (!conversation || noteReceipt(conversation, receipt, this.me)) return [];
    return [{ type: 'fetch', conversation_id: receipt.conversation_id }];
  }

  #typing({ conversation_id, data }, now) {
    const conversation = this.get(conversation_id);
    if (!conversation || data.user.id === this.me) return [];
    noteTyping(conversation, data, now);
    return data.typing ? [{ type: 'typing', conversation_id, until: now + data.expires_in_ms }] : [];
  }

  /** A user with the name and picture that were told last. */
  now(user) {
    const told = user && this.profiles.get(user.id);
    if (!told) return user;
    const { username, display_name, avatar_url } = told;
    return { ...user, username, display_name, avatar_url };
  }

  /** A message with the names that were told last: its page may have been on its way by then. */
  named(message) {
    if (!this.profiles.size) return message;
    const mentions = message.mentions?.map((mention) => ({ ...mention, user: this.now(mention.user) }));
    return { ...message, sender: this.now(message.sender), mentions };
  }

  /** Somebody's name or picture, wherever they are shown. */
  #profile(user) {
    const { id } = user;
    this.profiles.set(id, user);
    for (const { info, timeline } of this.conversations.values()) {
      if (info.other?.id === id) info.other = user;
      if (info.last_message) info.last_message = this.named(info.last_message);
      const concerned = ({ sender, mentions = [] }) => sender.id === id || mentions.some(({ user }) => user?.id === id);
      for (const message of timeline.list().filter(concerned)) timeline.guess(this.named(message));
    }
    this.notices.renamed(id, (actor) => this.now(actor));
  }

  #notice(notice) {
    const what = this.notices.put(notice);
    if (what === 'unsure') return [{ type: 'recount' }];
    return what === 'new' && !notice.read_at ? [{ type: 'notified', notice }] : [];
  }

  #announcement(announcement) {
    if (announcement.seq <= this.announcementSeq) return [];
    this.announcementSeq = announcement.seq;
    this.announcements.push(announcement);
    return [{ type: 'announced', announcement }];
  }

  #add(info) {
    this.conversations.set(info.id, fresh(info));
    if (info.other_presence) this.present([info.other_presence]);
  }
}
