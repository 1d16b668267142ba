// Texts that were begun and not sent, by place (a conversation or a thread in one). Promises: they outlive a reload and
// the tab, a draft that another tab wrote is not undone, and all of them together stay small: the oldest go first. One
// user's drafts are forgotten at sign-out, a conversation's when it is gone.

const DRAFTS_MAX = 50;
/** All of them, as they are stored; browsers give a page about five million. */
const CHARS_MAX = 200_000;
const QUOTE_CHARS = 200;

export class Drafts {
  constructor({ storage, key }) {
    Object.assign(this, { storage, key });
    this.items = [];
  }

  /** `{text, replying}` or null. */
  get(place) {
    return this.#load().find((draft) => draft.place === place) ?? null;
  }

  /** Keeps what stands in the composer of a place of `conversation`; nothing is no draft. */
  set(place, conversation, { text, replying = null }) {
    const others = this.#load().filter((draft) => draft.place !== place);
    const empty = !text.trim() && !replying;
    this.#keep(empty ? others : [...others, { place, conversation, text, replying: quoted(replying) }]);
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
    this.#keep([]);
  }

  /** Newest last. */
  #load() {
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
    try {
      if (kept.length) this.storage.setItem(this.key, stored);
      else this.storage.removeItem(this.key);
    } catch {
      // Full or forbidden: they last as long as this page.
      this.storage = null;
    }
  }
}

/** What is needed of the message that is answered. */
function quoted(message) {
  if (!message) return null;
  const { id, seq, conversation_id, sender, content, deleted_at } = message;
  const attachments = message.attachments?.map(({ kind, name }) => ({ kind, name }));
  return { id, seq, conversation_id, sender, content: content.slice(0, QUOTE_CHARS), deleted_at, attachments };
}
