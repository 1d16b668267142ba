// A list that REST tells page by page, begun anew by each question. Promises: of questions about different things only
// the newest one's answer counts, whichever comes last; of the same question asked again each answer counts that is
// newer than what is there. The next page is asked for once, and belongs to what is there.

export class Paged {
  #asked = 0;
  /** The question that is answered; of another one that is not yet, its own number: what is below is too old. */
  #now = 0;
  #about = null;
  #ask = null;
  #moreComing = false;

  constructor() {
    this.items = [];
    /** Where the next page begins; null at the end. */
    this.cursor = null;
  }

  /**
   * Begins anew with the first page: `ask(cursor)` resolves to one. The same `about` says that it is the same question.
   * Resolves to the page, or to null once it is too old.
   */
  async begin(ask, about = Symbol('something else')) {
    this.#asked += 1;
    const question = this.#asked;
    if (about !== this.#about) {
      this.#about = about;
      this.#now = question;
      this.cursor = null;
    }
    let page;
    try {
      page = await ask(null);
    } catch (error) {
      if (question < this.#asked) return null;
      // Nothing is known of what was asked.
      if (question === this.#now) this.items = [];
      throw error;
    }
    if (question < this.#now) return null;
    this.#now = question;
    this.#ask = ask;
    this.#moreComing = false;
    this.items = page.items;
    this.cursor = page.next_cursor ?? null;
    return page;
  }

  /** The page after those that are there; null where none is to come, one is coming, or it came too late. */
  async more() {
    if (this.#moreComing || this.cursor === null) return null;
    const question = this.#now;
    this.#moreComing = true;
    try {
      const page = await this.#ask(this.cursor);
      if (question !== this.#now) return null;
      this.items = [...this.items, ...page.items];
      this.cursor = page.next_cursor ?? null;
      return page;
    } catch (error) {
      if (question !== this.#now) return null;
      throw error;
    } finally {
      if (question === this.#now) this.#moreComing = false;
    }
  }

  /** Empties it; what is on its way is too old. */
  forget() {
    this.#asked += 1;
    this.#now = this.#asked;
    this.#about = null;
    this.#moreComing = false;
    this.items = [];
    this.cursor = null;
  }
}
