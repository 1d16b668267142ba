// The loaded part of one conversation's messages, without holes: usually up to the head, or a window around a place
// that somebody jumped to. Pure. Promises: a message is there once, in the newest state seen (`changed_seq`),
// ordered by place (`seq`); quotes and threads follow what is known of the messages they are made of.

export class Timeline {
  constructor() {
    /** `empty` (nothing asked yet), `loading`, `ready`. */
    this.status = 'empty';
    /** Nothing lies before the oldest loaded message. */
    this.complete = false;
    /** Nothing lies after the newest one. */
    this.live = true;
    /** A page is on its way. */
    this.loadingOlder = false;
    this.loadingNewer = false;
    /** Counts how often everything was forgotten: a page that was asked for before does not belong here any more. */
    this.version = 0;
    this.bySeq = new Map();
    /** What came while a page was on its way, by place: `{message, isNew}`. */
    this.late = new Map();
    /** Newest state of changed messages, and of replies in threads, that are not loaded, by id. */
    this.elsewhere = new Map();
    this.sorted = null;
  }

  /** Messages in order. The array is the caller's to read, not to change. */
  list() {
    this.sorted ??= [...this.bySeq.values()].sort((a, b) => a.seq - b.seq);
    return this.sorted;
  }

  at(seq) {
    return this.bySeq.get(seq) ?? null;
  }

  /** A message in its newest state, as far as it is known here; of what is named by its id alone, too. */
  known({ id, seq }) {
    const at = seq === undefined ? this.list().find((message) => message.id === id) : this.bySeq.get(seq);
    return at ?? this.elsewhere.get(id) ?? null;
  }

  oldest() {
    return this.list()[0]?.seq ?? Infinity;
  }

  newest() {
    return this.list().at(-1)?.seq ?? 0;
  }

  /** A created message, or the newer state of one. What is not loaded is remembered while a page is coming. */
  put(message, isNew) {
    if (this.status === 'empty') return;
    const known = this.bySeq.get(message.seq);
    if (known) {
      if (message.changed_seq > known.changed_seq) this.#set(message);
      return;
    }
    if (isNew && this.live) {
      this.#set(message);
      return;
    }
    // A thread is shown beside the window that it hangs in, with all of its replies.
    if (!isNew || message.thread_root_id) this.elsewhere.set(message.id, message);
    if (this.status !== 'loading' && !this.loadingOlder && !this.loadingNewer) return;
    const late = this.late.get(message.seq);
    if (!late || late.message.changed_seq < message.changed_seq)
      this.late.set(message.seq, { message, isNew: isNew || Boolean(late?.isNew) });
  }

  /** A message shown changed before the server said so; its answer or event replaces it. */
  guess(message) {
    if (this.bySeq.has(message.seq)) this.#set(message);
  }

  startLatest() {
    this.status = 'loading';
  }

  /** Forgets what is loaded and waits for the messages around a place. */
  startAround() {
    this.clear();
    this.status = 'loading';
    this.live = false;
  }

  startOlder() {
    this.loadingOlder = true;
  }

  startNewer() {
    this.loadingNewer = true;
  }

  /** A page of history came, the newest or an older one; it may be older than events that overtook it. */
  addPage(page) {
    this.#take(page.items);
    this.status = 'ready';
    this.loadingOlder = false;
    this.complete = page.next_cursor === null;
    this.#settle();
  }

  /** The messages around a place came. */
  addAround(page, headSeq) {
    this.#take(page.items);
    this.status = 'ready';
    if (this.newest() >= headSeq) this.#reachHead();
    this.#settle();
  }

  /** The page after the newest loaded message came. */
  addNewer(page) {
    this.#take(page.items);
    this.loadingNewer = false;
    if (page.next_cursor === null) this.#reachHead();
    this.#settle();
  }

  /** A page did not come: the first one, or that `'older'` or `'newer'` than what is loaded. */
  failed(which = 'first') {
    if (which === 'older') this.loadingOlder = false;
    else if (which === 'newer') this.loadingNewer = false;
    else if (this.status === 'loading') this.clear();
    this.#settle();
  }

  /** Forgets everything: what is loaded no longer is without holes. */
  clear() {
    this.version += 1;
    this.status = 'empty';
    this.complete = false;
    this.live = true;
    this.loadingOlder = false;
    this.loadingNewer = false;
    this.bySeq.clear();
    this.late.clear();
    this.elsewhere.clear();
    this.sorted = null;
  }

  /** What a message replies to, in its present state as far as it is known here. */
  quoteOf({ reply_to }) {
    if (!reply_to) return null;
    const now = this.known(reply_to);
    if (!now) return reply_to;
    const { sender, content, deleted_at, attachments } = now;
    return { ...reply_to, sender, content: content.slice(0, 200), deleted_at, attachments };
  }

  /** The thread under a message: what the server counted, and the replies that came after its last one. */
  threadOf(message) {
    const counted = message.thread?.last_reply_seq ?? 0;
    const newer = [...this.list(), ...this.elsewhere.values()]
      .filter((m) => m.thread_root_id === message.id && m.seq > counted)
      .sort((a, b) => a.seq - b.seq);
    if (!newer.length) return message.thread;
    const repliers = [...newer.map((m) => m.sender).reverse(), ...(message.thread?.last_repliers ?? [])];
    const each = repliers.filter((user, i) => repliers.findIndex(({ id }) => id === user.id) === i);
    return {
      reply_count: (message.thread?.reply_count ?? 0) + newer.length,
      last_reply_seq: newer.at(-1).seq,
      last_reply_at: newer.at(-1).created_at,
      last_repliers: each.slice(0, 3),
    };
  }

  #take(items) {
    for (const message of items) {
      const known = this.bySeq.get(message.seq);
      if (!known || message.changed_seq > known.changed_seq) this.#set(message);
    }
    for (const [seq, { message }] of this.late) {
      const known = this.bySeq.get(seq);
      if (known && message.changed_seq > known.changed_seq) this.#set(message);
    }
  }

  /** What was created meanwhile belongs to it now. */
  #reachHead() {
    this.live = true;
    for (const { message, isNew } of this.late.values()) if (isNew && !this.bySeq.has(message.seq)) this.#set(message);
  }

  #settle() {
    if (this.status !== 'loading' && !this.loadingOlder && !this.loadingNewer) this.late.clear();
  }

  #set(message) {
    this.bySeq.set(message.seq, message);
    this.elsewhere.delete(message.id);
    this.sorted = null;
  }
}
