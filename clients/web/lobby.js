// The lobby: public rooms, searched by title, joined or opened.

import { avatar } from './avatar.js';
import { Dialog, debounced } from './dialogs.js';
import { h } from './dom.js';
import { count } from './format.js';
import { drawLines } from './message.js';
import { Paged } from './paged.js';

export class Lobby {
  constructor(app) {
    this.app = app;
    this.rooms = new Paged();
    this.drawn = new Map();
    this.note = h('p', { class: 'quiet', role: 'status' });
    this.list = h('ul', { class: 'results', 'aria-label': 'Public rooms' });
    const more = () => this.#load(() => this.rooms.more());
    this.more = h('button', { type: 'button', class: 'button', onclick: more }, 'Show more');
    this.more.hidden = true;
    const search = debounced(() => this.#search());
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
    this.#search();
  }

  #search() {
    const query = this.input.value.trim();
    const ask = (cursor) => this.app.api.get('/v1/conversations/public', { query, cursor, limit: 30 });
    return this.#load(() => this.rooms.begin(ask));
  }

  async #load(work) {
    try {
      if (await work()) this.#show();
    } catch (error) {
      this.#show();
      this.note.textContent = error.message;
    }
  }

  #show() {
    const { items, cursor } = this.rooms;
    this.more.hidden = cursor === null;
    this.note.textContent = items.length ? '' : 'No public room found. Create one with “New”.';
    // A row stays the same node as long as it says the same: nobody's click falls between two answers.
    drawLines(
      this.list,
      this.drawn,
      items.map((room) => {
        const mine = this.app.sync.state.get(room.id) !== null;
        const stamp = [room.title, room.description, room.participant_count, room.avatar_url, mine];
        return { key: room.id, stamp: JSON.stringify(stamp), node: () => this.#row(room, mine) };
      }),
    );
  }

  #row(room, mine) {
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
