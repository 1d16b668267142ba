// Texts that were begun and not sent, by place (a conversation or a thread in one). Promises: they outlive a reload and
// the tab, a draft that another tab wrote is not undone, and all of them together stay small: the oldest go first. One
// user's drafts are forgotten when that user is signed out, a conversation's when it is gone. Of a message that is
// answered its id alone is kept: what is deleted for everybody is not kept here.

const DRAFTS_MAX = 50;
/** All of them, as they are stored; browsers give a page about five million. */
const CHARS_MAX = 200_000;

export class Drafts {
  constructor({ storage, key }) {
    Object.assign(this, { storage, key });
    this.items = [];
    /** The browser keeps nothing: they last as long as this page. */
    this.alone = false;
  }

  /** `{text, replying}` or null; `replying` is the id of the message that is answered, or null. */
  get(place) {
    return this.#load().find((draft) => draft.place === place) ?? null;
  }

  /** Keeps what stands in the composer of a place of `conversation`; nothing is no draft. */
  set(place, conversation, { text, replying = null }) {
    const others = this.#load().filter((draft) => draft.place !== place);
    const empty = !text.trim() && !replying;
    this.#keep(empty ? others : [...others, { place, conversation, text, replying: replying?.id ?? null }]);
  }

  /** A conversation is gone, with all its threads. */
  forget(conversation) {
    this.keepOnly((id) => id !== conversation);
  }

  /** Forgets those of conversations that `there(id)` does not know. */
  keepOnly(there) {
    const items = this.#load();
    const kept = items.filter(({ conversation }) => there(conversation));
    if (kept.length < items.length) this.#keep(kept);
  }

  clear() {
    this.items = [];
    this.#remove();
  }

  /** Newest last. */
  #load() {
    if (this.alone) return this.items;
    try {
      const items = JSON.parse(this.storage.getItem(this.key));
      return Array.isArray(items) ? items : [];
    } catch {
      return this.items;
    }
  }

  #keep(items) {
    let kept = items.slice(-DRAFTS_MAX);
    let stored = JSON.stringify(kept);
    while (stored.length > CHARS_MAX) {
      kept = kept.slice(1);
      stored = JSON.stringify(kept);
    }
    this.items = kept;
    if (this.alone) return;
    if (kept.length) this.#store(kept);
    else this.#remove();
  }

  /** Where a page's whole storage is full, the oldest give way here too. */
  #store(items) {
    for (let kept = items; kept.length; kept = kept.slice(1)) {
      try {
        this.storage.setItem(this.key, JSON.stringify(kept));
        return;
      } catch {
        // The next one is shorter.
      }
    }
    this.alone = true;
    // What is there says what these places held before.
    this.#remove();
  }

  #remove() {
    try {
      this.storage.removeItem(this.key);
    } catch {
      // Forbidden: then nothing is there.
    }
  }
}
