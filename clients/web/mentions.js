// Finds people while one types `@…` in a text field: a list above it, moved with ↑ ↓, taken with Enter or Tab.

import { avatar } from './avatar.js';
import { fill, h, setAttr } from './dom.js';

const SHOWN_MAX = 6;
let ids = 0;

/** The `@…` that the caret stands in: `{from, word}`, or null. */
export function mentionAt(text, caret) {
  const found = /(?:^|[\s(])@([\p{L}\p{N}._-]*)$/u.exec(text.slice(0, caret));
  return found ? { from: caret - found[1].length - 1, word: found[1].toLowerCase() } : null;
}

/** Who may be meant by what was typed; names that begin with it, and words of display names that do. */
export function candidates(people, word, max = SHOWN_MAX) {
  const begins = (text) => text.toLowerCase().startsWith(word);
  return people
    .filter(({ username, display_name }) => begins(username) || display_name.split(/\s+/u).some(begins))
    .slice(0, max);
}

export class MentionList {
  /** `people()` are those who may be mentioned; `changed()` is called after a name was put in. */
  constructor(input, { people, changed }) {
    Object.assign(this, { input, people, changed });
    this.found = [];
    this.at = 0;
    this.id = `mentions-${++ids}`;
    this.node = h('ul', { class: 'mentions', role: 'listbox', id: this.id, 'aria-label': 'People to mention' });
    this.node.hidden = true;
    setAttr(input, 'aria-autocomplete', 'list');
    input.addEventListener('input', () => this.#look());
    input.addEventListener('blur', () => this.close());
  }

  close() {
    this.found = [];
    this.#draw();
  }

  /** Whether the key was one for the list. */
  key(event) {
    if (!this.found.length) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.at = (this.at + step + this.found.length) % this.found.length;
    else if (event.key === 'Enter' || event.key === 'Tab') this.#take(this.found[this.at]);
    else if (event.key === 'Escape') this.found = [];
    else return false;
    event.preventDefault();
    this.#draw();
    return true;
  }

  #look() {
    const typed = mentionAt(this.input.value, this.input.selectionStart);
    this.found = typed ? candidates(this.people(), typed.word) : [];
    this.at = 0;
    this.#draw();
  }

  #take(user) {
    const { value, selectionStart } = this.input;
    const { from } = mentionAt(value, selectionStart);
    this.input.setRangeText(`@${user.username} `, from, selectionStart, 'end');
    this.close();
    this.changed();
  }

  #draw() {
    this.node.hidden = this.found.length === 0;
    setAttr(this.input, 'aria-controls', this.found.length ? this.id : null);
    setAttr(this.input, 'aria-activedescendant', this.found.length ? `${this.id}-${this.at}` : null);
    fill(
      this.node,
      this.found.map((user, i) =>
        h(
          'li',
          {
            id: `${this.id}-${i}`,
            class: 'person',
            role: 'option',
            'aria-selected': String(i === this.at),
            // Not on click: the field would have lost the focus.
            onpointerdown: (event) => {
              event.preventDefault();
              this.#take(user);
            },
          },
          avatar(user, 'small'),
          h('span', { class: 'grow ellipsis' }, user.display_name),
          h('span', { class: 'quiet ellipsis' }, `@${user.username}`),
        ),
      ),
    );
  }
}
