// What this user was notified of (mentions, answers, being added), as the server stored it. Pure. Promises: each is
// there once, in its newest state; the count of unread ones follows from events, and where it cannot it says so.

export class Notices {
  constructor() {
    this.byId = new Map();
    this.unread = 0;
    /** Where the next page begins; null at the end. */
    this.cursor = null;
    this.loaded = false;
    /** Counts what events and clicks changed: a page that was asked for before may be older than they are. */
    this.version = 0;
  }

  /** Nothing of it is true any more: another history begins. */
  clear() {
    this.byId.clear();
    this.unread = 0;
    this.cursor = null;
    this.loaded = false;
    this.version += 1;
  }

  /** Newest first. */
  list() {
    const key = ({ created_at, id }) => `${created_at} ${id}`;
    return [...this.byId.values()].sort((a, b) => (key(a) < key(b) ? 1 : -1));
  }

  /**
   * A page as REST tells it. The first one begins anew: after it nothing older is known. What events told of a row
   * since is newer; of a page that is not the first, also what was read here. `sure`: nothing changed while it came.
   */
  page({ items, unread_count, next_cursor }, first, sure = true) {
    const known = first ? new Map(this.byId) : this.byId;
    if (first) this.byId.clear();
    for (const notice of items) {
      const now = known.get(notice.id);
      const newer = now && (first ? now.user_seq > notice.user_seq : now.user_seq >= notice.user_seq);
      this.byId.set(notice.id, newer ? now : notice);
    }
    if (sure) this.unread = unread_count;
    this.cursor = next_cursor;
    this.loaded = true;
  }

  /** One that came or changed: `new`, `known`, or `unsure` when it was not loaded and the count has to be asked for. */
  put(notice) {
    const known = this.byId.get(notice.id);
    if (known && known.user_seq >= notice.user_seq) return 'known';
    this.version += 1;
    if (!known && notice.read_at) return 'unsure';
    const before = known && !known.read_at ? 1 : 0;
    this.byId.set(notice.id, notice);
    this.unread = Math.max(0, this.unread + (notice.read_at ? 0 : 1) - before);
    return known ? 'known' : 'new';
  }

  /** These were read here, or all: shown at once; the events say it too. */
  read(ids, now = new Date().toISOString()) {
    this.version += 1;
    const these = ids ?? [...this.byId.keys()];
    const unread = these.map((id) => this.byId.get(id)).filter((notice) => notice && !notice.read_at);
    for (const notice of unread) this.byId.set(notice.id, { ...notice, read_at: now });
    this.unread = ids ? Math.max(0, this.unread - unread.length) : 0;
  }

  /** Somebody has another name or picture. */
  renamed(id, now) {
    for (const notice of this.byId.values())
      if (notice.actor.id === id) this.byId.set(notice.id, { ...notice, actor: now(notice.actor) });
  }

  /** Ids of unread ones of a conversation. */
  unreadIn(conversationId) {
    return [...this.byId.values()]
      .filter((notice) => notice.conversation_id === conversationId && !notice.read_at)
      .map(({ id }) => id);
  }
}
