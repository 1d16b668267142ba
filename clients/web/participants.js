// Who takes part in the conversations that were opened, and how far each one is: the first hundred, as they were asked
// for last. Promises: one question at a time for each conversation; whoever comes or goes while its answer is on its
// way makes us ask once more after it.

const PAGE = 100;

export class Participants {
  /** `state` takes the markers, `changed()` is called when a list that nobody waits for came. */
  constructor({ api, state, changed }) {
    Object.assign(this, { api, state, changed });
    this.users = new Map();
    /** Of which conversations they were asked for. */
    this.asked = new Set();
    /** What is on its way, by conversation: whether `again`, and the promise of its answer. */
    this.coming = new Map();
  }

  /** Those of a conversation; nobody where they are not known. */
  of(id) {
    return this.users.get(id) ?? [];
  }

  load(id) {
    const coming = this.coming.get(id);
    if (coming) {
      coming.again = true;
      return coming.answer;
    }
    this.asked.add(id);
    const next = { again: false };
    this.coming.set(id, next);
    next.answer = this.#ask(id, next);
    return next.answer;
  }

  /** Somebody came or went: asked for again where they were asked for at all. */
  again(id) {
    if (this.asked.has(id) && this.state.get(id)) this.load(id).then(this.changed);
  }

  /** Somebody has another name or picture. */
  renamed(user) {
    for (const [id, users] of this.users)
      this.users.set(
        id,
        users.map((each) => (each.id === user.id ? user : each)),
      );
  }

  async #ask(id, next) {
    try {
      const page = await this.api.get(`/v1/conversations/${id}/participants`, { limit: PAGE });
      this.users.set(
        id,
        page.items.map(({ user }) => this.state.now(user)),
      );
      this.state.participants(id, page.items, page.next_cursor === null);
    } catch {
      // Only ticks and names miss something.
    }
    this.coming.delete(id);
    if (next.again) this.again(id);
  }
}
