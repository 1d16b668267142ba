// Tells the server what reached this device and what was read. Promises: a read marker whose answer did not come is
// told again on the next connection; delivered markers go out soon, for many messages at once, a few at a time.

import { RECEIPTS_MAX } from './conversation.js';
import { TRY_AGAIN } from './outbox.js';

/** So long after the first message, so many conversations at once. */
const DELIVERED_MS = 300;
const DELIVERED_MAX = 10;

export class Markers {
  /** `request(type, fields)` asks the socket, `online()` says whether it is there. */
  constructor({ me, state, request, online }) {
    Object.assign(this, { me, state, request, online });
    /** Read markers that the server has not confirmed. */
    this.reads = new Map();
    /** Delivered markers that it was told. */
    this.told = new Map();
  }

  connected() {
    this.#sendReads();
    this.deliverLater();
  }

  stop() {
    clearTimeout(this.delivering);
    clearTimeout(this.again);
  }

  read(id, seq) {
    this.reads.set(id, seq);
    this.#sendReads();
  }

  /** Something came. */
  deliverLater() {
    this.delivering ??= setTimeout(() => this.#deliver(), DELIVERED_MS);
  }

  #sendReads() {
    if (!this.online()) return;
    for (const [id, seq] of this.reads) {
      const done = () => this.reads.get(id) === seq && this.reads.delete(id);
      this.request('receipt.read', { conversation_id: id, seq }).then(done, (error) => {
        if (!TRY_AGAIN.has(error.code)) done();
        else if (error.retryAfterMs) this.again = setTimeout(() => this.#sendReads(), error.retryAfterMs);
      });
    }
  }

  #deliver() {
    this.delivering = null;
    if (!this.online()) return;
    const waiting = [...this.state.conversations.values()].filter((conversation) => this.#undelivered(conversation));
    for (const { info } of waiting.slice(0, DELIVERED_MAX)) {
      const { id, last_message } = info;
      this.told.set(id, last_message.seq);
      const again = () => this.told.delete(id);
      this.request('receipt.delivered', { conversation_id: id, seq: last_message.seq }).catch(again);
    }
    if (waiting.length > DELIVERED_MAX) this.deliverLater();
  }

  #undelivered({ info }) {
    const last = info.last_message;
    if (!last || last.sender.id === this.me || info.participant_count > RECEIPTS_MAX) return false;
    return last.seq > Math.max(info.read_seq, this.told.get(info.id) ?? 0);
  }
}
