// Keeps the list of notifications equal to the server's: its pages, what is read here, and the count where events alone
// do not tell it.

const PAGE = 30;
/** So often a page is asked for again because events overtook it. */
const TRIES = 4;
/** Most that are marked read with one request. */
const READ_MAX = 100;
const RECOUNT_MS = 300;

export class Inbox {
  constructor({ api, notices, changed }) {
    Object.assign(this, { api, notices, changed });
    this.loadingMore = false;
    /** The last time, the list did not come. */
    this.failed = false;
  }

  stop() {
    clearTimeout(this.recounting);
  }

  /** The newest ones, and how many are not read. */
  async load() {
    this.failed = false;
    try {
      const { page, sure } = await this.#ask({ limit: PAGE });
      this.notices.page(page, true, sure);
      if (!sure) this.recount();
    } catch (error) {
      this.failed = true;
      throw error;
    } finally {
      this.changed();
    }
  }

  /** The page after those that are loaded. */
  async more() {
    const { cursor } = this.notices;
    if (!cursor || this.loadingMore) return;
    this.loadingMore = true;
    try {
      const { page, sure } = await this.#ask({ limit: PAGE, cursor });
      if (this.notices.cursor !== cursor) return;
      this.notices.page(page, false, sure);
      if (!sure) this.recount();
    } finally {
      this.loadingMore = false;
      this.changed();
    }
  }

  /** Somebody marks some read, or all of them (`null`). */
  async read(ids) {
    try {
      await this.#read(ids);
    } catch (error) {
      this.recount();
      throw error;
    }
  }

  /** Who sees a conversation to its end has seen what it notified of. */
  seen(conversationId) {
    const ids = this.notices.unreadIn(conversationId);
    // Where that fails, the next load of the page has them again.
    if (ids.length) this.#read(ids).catch(() => {});
  }

  /** The count does not follow from what is known here. Asked for soon: as a rule many change at once. */
  recount() {
    clearTimeout(this.recounting);
    this.recounting = setTimeout(() => this.load().catch(() => {}), RECOUNT_MS);
  }

  /** A page, and whether it is `sure` that nothing changed while it came. */
  async #ask(query) {
    for (let tries = 1; ; tries += 1) {
      const { version } = this.notices;
      const page = await this.api.get('/v1/notifications', query);
      const sure = this.notices.version === version;
      if (sure || tries === TRIES) return { page, sure };
    }
  }

  async #read(ids) {
    this.notices.read(ids);
    this.changed();
    for (let at = 0; at < (ids?.length ?? 1); at += READ_MAX)
      await this.api.post('/v1/notifications/read', ids ? { ids: ids.slice(at, at + READ_MAX) } : {});
  }
}
