// Who takes part in the conversations that were opened, and how far each one is: the first hundred, as they were asked
// for last. Promises: an answer to an earlier question than the last changes nothing; whoever comes or goes while an
// answer is on its way makes us ask again.

const PAGE = 100;

export class Participants {
  /** `state` takes the markers, `changed()` is called when a list that nobody waits for came. */
  constructor({ api, state, changed }) {
    Object.assign(this, { api, state, changed });
    this.users = new Map();
    /** How often each conversation's people were asked for. */
    this.asked = new Map();
  }

  /** Those of a conversation; nobody where they are not known. */
  of(id) {
    return this.users.get(id) ?? [];
  }

  async load(id) {
    const question = (this.asked.get(id) ?? 0) + 1;
    this.asked.set(id, question);
    let page;
    try {
      page = await this.api.get(`/v1/conversations/${id}/participants`, { limit: PAGE });
    } catch {
      // Only ticks and names miss something.
      return;
    }
    if (this.asked.get(id) !== question) return;
    this.users.set(
      id,
      page.items.map(({ user }) => this.state.now(user)),
    );
    this.state.participants(id, page.items, page.next_cursor === null);
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
}
