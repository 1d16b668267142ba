// Finds people by name and lets one or several be picked; used by "new conversation" and "add people".

import { avatar } from './avatar.js';
import { debounced } from './dialogs.js';
import { fill, h } from './dom.js';

export class PeoplePicker {
  /** `several`: picks collect as chips; else the first pick calls `picked(user)`. `hide(user)` leaves people out. */
  constructor({ api, several, picked = () => {}, hide = () => false }) {
    Object.assign(this, { api, several, picked, hide });
    this.chosen = new Map();
    this.chips = h('ul', { class: 'chips', 'aria-label': 'Chosen people' });
    this.results = h('ul', { class: 'results', 'aria-label': 'People found' });
    this.note = h('p', { class: 'quiet', role: 'status' });
    this.input = h('input', {
      type: 'search',
      autocomplete: 'off',
      placeholder: 'Search by name',
      oninput: () => this.search(),
    });
    this.search = debounced((current) => this.#load(current));
    this.node = h(
      'div',
      { class: 'people' },
      this.chips,
      h('label', { class: 'field' }, h('span', {}, 'People'), this.input),
      this.results,
      this.note,
    );
    this.chips.hidden = true;
    this.#load(() => true);
  }

  ids() {
    return [...this.chosen.keys()];
  }

  async #load(current) {
    try {
      const page = await this.api.get('/v1/users', { query: this.input.value.trim(), limit: 20 });
      if (current()) this.#show(page.items.filter((user) => !this.hide(user)));
    } catch (error) {
      if (current()) this.note.textContent = error.message;
    }
  }

  #show(users) {
    this.note.textContent = users.length ? '' : 'Nobody found.';
    fill(
      this.results,
      users.map((user) =>
        h(
          'li',
          {},
          h(
            'button',
            {
              type: 'button',
              class: 'person',
              'aria-pressed': this.several ? String(this.chosen.has(user.id)) : null,
              onclick: (event) => this.#pick(user, event.currentTarget),
            },
            avatar(user, 'small'),
            h('span', { class: 'grow ellipsis' }, user.display_name),
            user.display_name === user.username
              ? null
              : h('span', { class: 'quiet ellipsis' }, `@${user.username}`),
          ),
        ),
      ),
    );
  }

  #pick(user, row) {
    if (!this.several) {
      this.picked(user);
      return;
    }
    if (this.chosen.has(user.id)) this.chosen.delete(user.id);
    else this.chosen.set(user.id, user);
    row.setAttribute('aria-pressed', String(this.chosen.has(user.id)));
    this.#showChips();
    this.picked(user);
  }

  #showChips() {
    this.chips.hidden = this.chosen.size === 0;
    const drop = (user) => {
      this.chosen.delete(user.id);
      this.#showChips();
      this.#load(() => true);
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
