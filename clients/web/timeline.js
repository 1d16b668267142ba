// The loaded part of one conversation's messages: from some place up to the head, without holes.
// Pure. Promises: a message is there once, in the newest state seen (`changed_seq`), ordered by place (`seq`).

export class Timeline {
  constructor() {
    /** `empty` (nothing asked yet), `loading`, `ready`. */
    this.status = 'empty';
    /** Nothing lies before the oldest loaded message. */
    this.complete = false;
    /** An older page is on its way. */
    this.loadingOlder = false;
    this.bySeq = new Map();
    this.late = new Map();
    this.sorted = null;
  }

  /** Messages in order. The array is the caller's to read, not to change. */
  list() {
    this.sorted ??= [...this.bySeq.values()].sort((a, b) => a.seq - b.seq);
    return this.sorted;
  }

  oldest() {
    return this.list()[0]?.seq ?? Infinity;
  }

  /** A created message, or the newer state of one. Older than what is loaded: remembered while a page is coming. */
  put(message, isNew) {
    if (this.status === 'empty') return;
    const known = this.bySeq.get(message.seq);
    if (known) {
      if (message.changed_seq > known.changed_seq) this.#set(message);
    } else if (isNew) {
      this.#set(message);
    } else if (this.status === 'loading' || this.loadingOlder) {
      const late = this.late.get(message.seq);
      if (!late || late.changed_seq < message.changed_seq) this.late.set(message.seq, message);
    }
  }

  startLatest() {
    this.status = 'loading';
  }

  startOlder() {
    this.loadingOlder = true;
  }

  /** A page of history came; it may be older than events that overtook it. */
  addPage(page) {
    for (const message of page.items) {
      const known = this.bySeq.get(message.seq);
      if (!known || message.changed_seq > known.changed_seq) this.#set(message);
    }
    for (const message of this.late.values()) {
      const known = this.bySeq.get(message.seq);
      if (known && message.changed_seq > known.changed_seq) this.#set(message);
    }
    this.late.clear();
    this.status = 'ready';
    this.loadingOlder = false;
    this.complete = page.next_cursor === null;
  }

  /** A page did not come. */
  failed() {
    this.late.clear();
    if (this.status === 'loading') this.clear();
    this.loadingOlder = false;
  }

  /** Forgets everything: what is loaded no longer reaches up to the head. */
  clear() {
    this.status = 'empty';
    this.complete = false;
    this.loadingOlder = false;
    this.bySeq.clear();
    this.late.clear();
    this.sorted = null;
  }

  #set(message) {
    this.bySeq.set(message.seq, message);
    this.sorted = null;
  }
}
