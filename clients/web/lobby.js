// The lobby: public rooms, searched by title, joined or opened.

import { avatar } from './avatar.js';
import { Dialog, debounced } from './dialogs.js';
import { fill, h } from './dom.js';
import { count } from './format.js';

export class Lobby {
  constructor(app) {
    this.app = app;
    this.rooms = [];
    this.cursor = null;
    this.note = h('p', { class: 'quiet', role: 'status' });
    this.list = h('ul', { class: 'results', 'aria-label': 'Public rooms' });
    this.more = h(
      'button',
      { type: 'button', class: 'button', onclick: () => this.#load(() => true) },
      'Show more',
    );
    this.more.hidden = true;
    const search = debounced((current) => this.#load(current, true));
    this.input = h('input', {
      type: 'search',
      autocomplete: 'off',
      placeholder: 'Search by title',
      oninput: () => search(),
    });
    this.dialog = new Dialog(
      { title: 'Public rooms' },
      h('label', { class: 'field' }, h('span', { class: 'visually-hidden' }, 'Search public rooms'), this.input),
      this.list,
      this.note,
      h('div', { class: 'row end' }, this.more),
    );
  }

  show() {
    this.dialog.show();
    this.input.focus();
    this.#load(() => true, true);
  }

  async #load(current, again = false) {
    try {
      const cursor = again ? null : this.cursor;
      const page = await this.app.api.get('/v1/conversations/public', {
        query: this.input.value.trim(),
        cursor,
        limit: 30,
      });
      if (!current()) return;
      this.rooms = again ? page.items : [...this.rooms, ...page.items];
      this.cursor = page.next_cursor;
      this.#show();
    } catch (error) {
      if (current()) this.note.textContent = error.message;
    }
  }

  #show() {
    this.more.hidden = this.cursor === null;
    this.note.textContent = this.rooms.length ? '' : 'No public room found. Create one with “New”.';
    fill(
      this.list,
      this.rooms.map((room) => this.#row(room)),
    );
  }

  #row(room) {
    const mine = this.app.sync.state.get(room.id) !== null;
    const act = mine ? () => this.#open(room.id) : () => this.#join(room.id);
    return h(
      'li',
      { class: 'room', 'data-id': room.id },
      avatar({ ...room, display_name: room.title ?? '' }),
      h(
        'div',
        { class: 'grow' },
        h('strong', { class: 'ellipsis' }, room.title),
        h(
          'span',
          { class: 'quiet ellipsis' },
          [count(room.participant_count, 'member'), room.description].filter(Boolean).join(' · '),
        ),
      ),
      h(
        'button',
        {
          type: 'button',
          class: mine ? 'button' : 'button primary',
          'aria-label': `${mine ? 'Open' : 'Join'} ${room.title}`,
          onclick: act,
        },
        mine ? 'Open' : 'Join',
      ),
    );
  }

  #open(id) {
    this.dialog.close();
    this.app.open(id);
  }

  async #join(id) {
    try {
      this.app.sync.joined(await this.app.api.post(`/v1/conversations/${id}/join`));
      this.#open(id);
    } catch (error) {
      this.note.textContent = error.message;
    }
  }
}
