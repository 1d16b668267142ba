// Finds people by name and lets one or several be picked; used by "new conversation" and "add people".

import { avatar } from './avatar.js';
import { debounced } from './dialogs.js';
import { fill, h } from './dom.js';
import { drawLines } from './message.js';
import { Paged } from './paged.js';

export class PeoplePicker {
  /** `several`: picks collect as chips; else the first pick calls `picked(user)`. `hide(user)` leaves people out. */
  constructor({ api, several, picked = () => {}, hide = () => false }) {
    Object.assign(this, { api, several, picked, hide });
    this.chosen = new Map();
    this.found = new Paged();
    this.drawn = new Map();
    this.chips = h('ul', { class: 'chips', 'aria-label': 'Chosen people' });
    this.results = h('ul', { class: 'results', 'aria-label': 'People found' });
    this.note = h('p', { class: 'quiet', role: 'status' });
    this.input = h('input', {
      type: 'search',
      autocomplete: 'off',
      placeholder: 'Search by name',
      oninput: debounced(() => this.#search()),
    });
    this.node = h(
      'div',
      { class: 'people' },
      this.chips,
      h('label', { class: 'field' }, h('span', {}, 'People'), this.input),
      this.results,
      this.note,
    );
    this.chips.hidden = true;
    this.#search();
  }

  ids() {
    return [...this.chosen.keys()];
  }

  async #search() {
    const query = this.input.value.trim();
    try {
      if (await this.found.begin(() => this.api.get('/v1/users', { query, limit: 20 }))) this.#show();
    } catch (error) {
      this.#show();
      this.note.textContent = error.message;
    }
  }

  #show() {
    const users = this.found.items.filter((user) => !this.hide(user));
    this.note.textContent = users.length ? '' : 'Nobody found.';
    // A row stays the same node as long as it says the same: nobody's click falls between two answers.
    drawLines(
      this.results,
      this.drawn,
      users.map((user) => {
        const pressed = this.several ? String(this.chosen.has(user.id)) : null;
        const stamp = [user.display_name, user.username, user.avatar_url, pressed];
        return { key: user.id, stamp: JSON.stringify(stamp), node: () => this.#row(user, pressed) };
      }),
    );
  }

  #row(user, pressed) {
    const pick = { 'aria-pressed': pressed, 'data-focus': 'pick', onclick: () => this.#pick(user) };
    const other = user.display_name !== user.username;
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', class: 'person', ...pick },
        avatar(user, 'small'),
        h('span', { class: 'grow ellipsis' }, user.display_name),
        other ? h('span', { class: 'quiet ellipsis' }, `@${user.username}`) : null,
      ),
    );
  }

  #pick(user) {
    if (!this.several) {
      this.picked(user);
      return;
    }
    if (this.chosen.has(user.id)) this.chosen.delete(user.id);
    else this.chosen.set(user.id, user);
    this.#show();
    this.#showChips();
    this.picked(user);
  }

  #showChips() {
    this.chips.hidden = this.chosen.size === 0;
    const drop = (user) => {
      this.chosen.delete(user.id);
      this.#showChips();
      this.#show();
      this.input.focus();
    };
    fill(
      this.chips,
      [...this.chosen.values()].map((user) =>
        h(
          'li',
          {},
          h(
            'button',
            {
              type: 'button',
              class: 'chip',
              'aria-label': `Remove ${user.display_name}`,
              onclick: () => drop(user),
            },
            user.display_name,
            ' ×',
          ),
        ),
      ),
    );
  }
}
