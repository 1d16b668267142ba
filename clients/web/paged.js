// A list that REST tells page by page, begun anew by each question. Promises: of questions that replace each other only
// the newest one's answer counts, whichever comes last; the next page is asked for once, and belongs to the same
// question.

export class Paged {
  #question = 0;
  #ask = null;
  #coming = false;

  constructor() {
    this.items = [];
    /** Where the next page begins; null at the end. */
    this.cursor = null;
  }

  /** Begins anew with the first page: `ask(cursor)` resolves to one. Resolves to it, or to null once it is too old. */
  begin(ask) {
    this.#question += 1;
    this.#ask = ask;
    return this.#next(null);
  }

  /** The page after those that are there; null where none is to come, or one is coming. */
  async more() {
    return this.#coming || this.cursor === null ? null : this.#next(this.cursor);
  }

  /** Empties it; what is on its way is too old. */
  forget() {
    this.#question += 1;
    this.#coming = false;
    this.items = [];
    this.cursor = null;
  }

  async #next(cursor) {
    const question = this.#question;
    const old = () => question !== this.#question;
    this.#coming = true;
    let page;
    try {
      page = await this.#ask(cursor);
    } catch (error) {
      if (old()) return null;
      this.#coming = false;
      throw error;
    }
    if (old()) return null;
    this.#coming = false;
    this.items = cursor === null ? page.items : [...this.items, ...page.items];
    this.cursor = page.next_cursor ?? null;
    return page;
  }
}
