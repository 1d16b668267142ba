// The panel that finds messages, here or in all conversations, and lists pinned ones; a click leads to the message.

import { debounced } from './dialogs.js';
import { fill, h } from './dom.js';
import { listTime, messageText, placeName } from './format.js';
import { drawLines } from './message.js';
import { Paged } from './paged.js';
import { Panel } from './panel.js';

/** A message that was found, as a row. */
function hit(app, message, parts, close) {
  const conversation = app.sync.state.get(message.conversation_id);
  const where = conversation && app.openId !== message.conversation_id ? placeName(conversation.info) : null;
  const name = message.sender.id === app.me.id ? 'You' : message.sender.display_name;
  return h(
    'li',
    {},
    h(
      'button',
      {
        type: 'button',
        class: 'hit',
        onclick: () => {
          close();
          app.jumpTo(message.conversation_id, message.seq);
        },
      },
      h(
        'span',
        { class: 'line' },
        h('strong', { class: 'ellipsis' }, where ? `${name} in ${where}` : name),
        h('time', { class: 'quiet', datetime: message.created_at }, listTime(message.created_at)),
      ),
      h('span', { class: 'snippet' }, parts),
    ),
  );
}

/** On a phone a panel lies over what it leads to. */
const closer = (panel) => () => matchMedia('(max-width: 1060px)').matches && panel.close();

export class SearchPanel extends Panel {
  constructor(app) {
    super(app, { name: 'search-panel', title: 'Search', opener: () => app.chat.searchButton });
    this.found = new Paged();
    this.drawn = new Map();
    const again = debounced(() => this.#search());
    this.input = h('input', {
      type: 'search',
      autocomplete: 'off',
      maxlength: '120',
      placeholder: 'Search messages',
      'aria-label': 'Search messages',
      oninput: again,
    });
    this.everywhere = h('input', { type: 'checkbox', onchange: again });
    this.results = h('ul', { class: 'results', 'aria-label': 'Messages found' });
    this.note = h('p', { class: 'quiet', role: 'status' });
    const more = () => this.#load(() => this.found.more());
    this.more = h('button', { type: 'button', class: 'button', onclick: more }, 'Show more');
    this.more.hidden = true;
    fill(
      this.body,
      this.input,
      h('label', { class: 'check' }, this.everywhere, h('span', {}, 'In all conversations')),
      this.note,
      this.results,
      this.more,
    );
  }

  /** What was searched for last may be another conversation's, or older. */
  open() {
    super.open();
    this.#search();
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** What was found in all conversations stays while one walks through it. */
  moved() {
    if (this.everywhere.checked) return;
    super.moved();
    this.#forget();
  }

  show() {}

  #forget() {
    this.found.forget();
    this.more.hidden = true;
    this.note.textContent = '';
    drawLines(this.results, this.drawn, []);
  }

  #search() {
    const query = this.input.value.trim();
    if (!query) return this.#forget();
    const conversation_id = this.everywhere.checked ? null : this.app.openId;
    const ask = (cursor) => this.app.api.get('/v1/search/messages', { query, conversation_id, cursor, limit: 30 });
    return this.#load(() => this.found.begin(ask));
  }

  async #load(work) {
    try {
      if (await work()) this.#fill();
    } catch (error) {
      this.#fill();
      this.note.textContent = error.message;
    }
  }

  #fill() {
    const { items, cursor } = this.found;
    this.more.hidden = cursor === null;
    this.note.textContent = items.length ? '' : 'Nothing found.';
    const { openId } = this.app;
    drawLines(
      this.results,
      this.drawn,
      items.map(({ message, snippet }) => {
        const parts = () => snippet.map(({ text, highlighted }) => (highlighted ? h('mark', {}, text) : text));
        return {
          key: message.id,
          stamp: JSON.stringify([message.changed_seq, snippet, openId]),
          node: () => hit(this.app, message, parts(), closer(this)),
        };
      }),
    );
  }
}

export class PinsPanel extends Panel {
  constructor(app) {
    super(app, { name: 'pins-panel', title: 'Pinned messages', opener: () => app.chat.moreButton });
    this.pins = new Paged();
    this.results = h('ul', { class: 'results', 'aria-label': 'Pinned messages' });
    this.note = h('p', { class: 'quiet', role: 'status' });
    fill(this.body, this.note, this.results);
  }

  open() {
    this.loadedFor = null;
    super.open();
  }

  show() {
    const conversation = this.app.openConversation();
    if (!conversation || this.loadedFor === conversation.cursor) return;
    // Pins change with the conversation: each step of it may be one.
    this.loadedFor = conversation.cursor;
    this.#load(conversation.info.id);
  }

  async #load(id) {
    try {
      const page = await this.pins.begin(() => this.app.api.get(`/v1/conversations/${id}/pins`), id);
      if (!page || this.app.openId !== id) return;
      this.note.textContent = page.items.length ? '' : 'Nothing is pinned here yet.';
      fill(
        this.results,
        page.items.map((message) => hit(this.app, message, messageText(message), closer(this))),
      );
    } catch (error) {
      if (this.app.openId === id) this.note.textContent = error.message;
    }
  }
}
