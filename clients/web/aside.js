// What is asked for besides conversations: whom we block, what was announced, what we want to be told of. The chat
// works without it. Promises: what did not come is asked for again on the next connection; so are announcements that
// are still shown, for nobody says later that another device read them meanwhile.

import { allPages } from './pages.js';

/** More than this nobody blocks by hand. */
const BLOCKS_MAX = 10_000;
const QUESTIONS = {
  blocks: async (api) => (await allPages(api, '/v1/me/blocks', BLOCKS_MAX)).items,
  announcements: (api) => api.get('/v1/announcements', { limit: 20 }),
  preferred: (api) => api.get('/v1/me/notification-preferences'),
};

export class Aside {
  /** `settled()` is called once: when the answers came for the first time, as far as they could. */
  constructor({ api, state, changed, settled }) {
    Object.assign(this, { api, state, changed, settled });
    this.missing = new Set();
  }

  /** Everything is new. */
  load() {
    this.missing = new Set(Object.keys(QUESTIONS));
    return this.#ask();
  }

  /** A connection goes on where the last one ended. */
  resumed() {
    if (this.state.announcements.length) this.missing.add('announcements');
    return this.#ask();
  }

  async #ask() {
    const names = [...this.missing];
    if (!names.length) return;
    const overtaking = this.state.askAside();
    const answers = await Promise.allSettled(names.map((name) => QUESTIONS[name](this.api)));
    const came = names.map((name, i) => [name, answers[i]]).filter(([, { status }]) => status === 'fulfilled');
    const first = !this.state.settled;
    if (!this.state.aside(overtaking, Object.fromEntries(came.map(([name, { value }]) => [name, value])))) return;
    for (const [name] of came) this.missing.delete(name);
    if (first) this.settled();
    this.changed();
  }
}
