// Messages that were typed and are not yet known to be committed. Promises: each is sent with one `client_id`
// however often it is tried, in the order typed per conversation, one at a time; none is lost by a lost
// connection or a reload of the page (kept per tab). A refusal that a retry cannot mend is shown, not retried.

import { randomId } from './api.js';

/** Errors after which the same command may be sent again as it is. */
export const TRY_AGAIN = new Set([
  'connection_lost',
  'timeout',
  'overloaded',
  'unavailable',
  'rate_limited',
  'slow_mode',
  'internal',
]);
const RETRY_MS = 1500;
const INTERNAL_TRIES = 3;

export class Outbox {
  /** `send(item)` resolves to the committed message. `changed()` is called after each change, `sent(message)` once. */
  constructor({ send, sent, changed, storage, key }) {
    Object.assign(this, { send, sent, changed, storage, key });
    this.online = false;
    this.items = this.#load();
  }

  of(conversationId) {
    return this.items.filter((item) => item.conversation_id === conversationId);
  }

  /** `more`: `reply_to` (the message answered to) and `thread_root_id`. */
  add(conversationId, content, { reply_to = null, thread_root_id = null } = {}) {
    this.items.push({
      client_id: randomId(),
      conversation_id: conversationId,
      content,
      reply_to,
      thread_root_id,
      created_at: new Date().toISOString(),
      status: 'waiting',
      tries: 0,
    });
    this.#update();
  }

  /** The connection is ready, or lost. */
  setOnline(online) {
    this.online = online;
    this.#update();
  }

  /** A committed message came by: it may be one of ours whose reply got lost. */
  confirm(message) {
    if (message.client_id && this.#remove(message.client_id)) this.#update();
  }

  retry(clientId) {
    const item = this.#find(clientId);
    if (item?.status === 'failed') Object.assign(item, { status: 'waiting', error: undefined, tries: 0 });
    this.#update();
  }

  discard(clientId) {
    this.#remove(clientId);
    this.#update();
  }

  /** Forgets everything of this user in this tab. */
  clear() {
    this.items = [];
    this.online = false;
    this.#update();
  }

  #update() {
    const busy = new Set(
      this.items.filter((i) => i.status === 'sending' || i.status === 'later').map((i) => i.conversation_id),
    );
    if (this.online) {
      for (const item of this.items) {
        if (item.status !== 'waiting' || busy.has(item.conversation_id)) continue;
        busy.add(item.conversation_id);
        this.#try(item);
      }
    }
    this.storage?.setItem(this.key, JSON.stringify(this.items));
    this.changed();
  }

  async #try(item) {
    item.status = 'sending';
    try {
      const message = await this.send(item);
      this.#remove(item.client_id);
      this.sent(message);
    } catch (error) {
      if (!this.#find(item.client_id)) return;
      item.tries += 1;
      const again = TRY_AGAIN.has(error.code) && !(error.code === 'internal' && item.tries >= INTERNAL_TRIES);
      if (!again) {
        Object.assign(item, { status: 'failed', error: error.message });
      } else if (error.code === 'connection_lost') {
        item.status = 'waiting';
      } else {
        // Keeps its place: what was typed after it waits too.
        item.status = 'later';
        setTimeout(() => {
          if (item.status === 'later') item.status = 'waiting';
          this.#update();
        }, error.retryAfterMs ?? RETRY_MS);
      }
    }
    this.#update();
  }

  #find(clientId) {
    return this.items.find((item) => item.client_id === clientId);
  }

  #remove(clientId) {
    const length = this.items.length;
    this.items = this.items.filter((item) => item.client_id !== clientId);
    return this.items.length < length;
  }

  #load() {
    try {
      const items = JSON.parse(this.storage?.getItem(this.key)) ?? [];
      // What was on its way when the page went may be committed: the same `client_id` finds out.
      return items.map((item) => (item.status === 'failed' ? item : { ...item, status: 'waiting' }));
    } catch {
      return [];
    }
  }
}
