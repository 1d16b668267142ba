// Where one writes: Enter sends, Shift+Enter breaks the line, ↑ in the empty field edits one's last message.
// Keeps a draft per conversation while the page is open.

import { h, icon, setText } from './dom.js';
import { button } from './list.js';

export class Composer {
  constructor({ send, edit, editLast }) {
    Object.assign(this, { send, edit, editLast });
    this.drafts = new Map();
    this.id = null;
    this.editing = null;
    this.input = h('textarea', {
      rows: '1',
      'aria-label': 'Message',
      placeholder: 'Write a message',
      enterkeyhint: 'send',
      oninput: () => this.#grow(),
      onkeydown: (event) => this.#key(event),
    });
    this.submit = h(
      'button',
      { type: 'submit', class: 'icon-button send', 'aria-label': 'Send', title: 'Send' },
      icon('send'),
    );
    this.editBar = h(
      'div',
      { class: 'edit-bar' },
      h('span', {}, 'Editing your message'),
      button('close', 'Cancel editing', () => this.#stopEdit()),
    );
    this.closed = h('p', { class: 'closed quiet' });
    this.form = h(
      'form',
      { class: 'composer', onsubmit: (event) => this.#submit(event) },
      this.editBar,
      h('div', { class: 'composer-row' }, this.input, this.submit),
    );
    this.node = h('div', { class: 'composer-place' }, this.form, this.closed);
    this.editBar.hidden = true;
  }

  focus() {
    this.input.focus();
  }

  show(id) {
    if (this.editing) this.#stopEdit();
    if (this.id) this.drafts.set(this.id, this.input.value);
    this.id = id;
    this.input.value = this.drafts.get(id) ?? '';
    this.#grow();
  }

  draw({ limit, closed }) {
    this.input.maxLength = limit;
    this.form.hidden = closed !== null;
    this.closed.hidden = closed === null;
    setText(this.closed, closed ?? '');
  }

  startEdit(message) {
    this.draft = this.editing ? this.draft : this.input.value;
    this.editing = message;
    this.input.value = message.content;
    this.editBar.hidden = false;
    this.#grow();
    this.focus();
  }

  #stopEdit() {
    this.editing = null;
    this.editBar.hidden = true;
    this.input.value = this.draft;
    this.#grow();
    this.focus();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (this.editing) {
      const message = this.editing;
      this.#stopEdit();
      if (text && text !== message.content) this.edit(message, text);
      return;
    }
    if (!text) return;
    this.input.value = '';
    this.#grow();
    this.send(text);
    this.focus();
  }

  #key(event) {
    // An input method uses Enter to choose a word.
    if (event.isComposing) return;
    const touch = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !touch) {
      event.preventDefault();
      this.form.requestSubmit();
    } else if (event.key === 'Escape' && this.editing) {
      this.#stopEdit();
    } else if (event.key === 'ArrowUp' && this.input.value === '' && !this.editing) {
      const message = this.editLast();
      if (!message) return;
      event.preventDefault();
      this.startEdit(message);
    }
  }

  #grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
  }
}
