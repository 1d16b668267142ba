// Where one writes: Enter sends, Shift+Enter breaks the line, ↑ in the empty field edits one's last message, `@`
// finds people. Above the field stands what is edited or answered. What was begun is kept as a draft of its place.

import { button, h, icon, setText } from './dom.js';
import { messageText } from './format.js';
import { MentionList } from './mentions.js';

export class Composer {
  /**
   * `send(text, replyTo)`, `edit(message, text)`, `editLast()` gives one's last message, `people()` who may be
   * mentioned, `typed(writing)` hears of each change of the text, `drafts` keep it. What is answered may be known by
   * its id alone: `known(message)` gives its newest state as far as it is loaded, else null; `find(id)` asks for it.
   */
  constructor({ people, label = 'Message', placeholder = 'Write a message', ...work }) {
    Object.assign(this, work);
    this.id = null;
    this.conversation = null;
    this.editing = null;
    this.replying = null;
    this.draft = '';
    this.input = h('textarea', {
      rows: '1',
      'aria-label': label,
      placeholder,
      enterkeyhint: 'send',
      oninput: () => this.#changed(),
      onkeydown: (event) => this.#key(event),
    });
    this.submit = h(
      'button',
      { type: 'submit', class: 'icon-button send', 'aria-label': 'Send', title: 'Send' },
      icon('send'),
    );
    this.barTitle = h('span', { class: 'ellipsis' });
    this.barText = h('span', { class: 'quote-text ellipsis' });
    this.barClose = button('close', 'Cancel', () => this.#cancel());
    const says = h('div', { class: 'grow' }, this.barTitle, this.barText);
    this.bar = h('div', { class: 'compose-bar' }, says, this.barClose);
    this.closed = h('p', { class: 'closed quiet' });
    this.mentions = new MentionList(this.input, { people, changed: () => this.#changed() });
    this.form = h(
      'form',
      { class: 'composer', onsubmit: (event) => this.#submit(event) },
      this.mentions.node,
      this.bar,
      h('div', { class: 'composer-row' }, this.input, this.submit),
    );
    this.node = h('div', { class: 'composer-place' }, this.form, this.closed);
    this.#bar();
  }

  focus() {
    this.input.focus();
  }

  /** Another place is written in, of a conversation or itself one; null: none. */
  show(id, conversation = id) {
    if (this.editing) this.#stopEdit();
    this.id = id;
    this.conversation = conversation;
    const draft = id && this.drafts.get(id);
    this.input.value = draft?.text ?? '';
    this.replying = draft?.replying ? { id: draft.replying } : null;
    this.mentions.close();
    this.#bar();
    this.#grow();
  }

  draw({ limit, closed }) {
    this.input.maxLength = limit;
    this.form.hidden = closed !== null;
    this.closed.hidden = closed === null;
    setText(this.closed, closed ?? '');
    this.#answer();
  }

  /** What is answered is shown as it is now; nobody answers what was deleted. */
  #answer() {
    const { replying } = this;
    if (!replying) return;
    const now = this.known(replying);
    if (now) this.#answers(now);
    else if (!replying.sender) this.#seek(replying);
  }

  async #seek(replying) {
    if (this.sought === replying) return;
    this.sought = replying;
    let found;
    try {
      found = await this.find(replying.id);
    } catch (error) {
      // Anything else may pass: it stays an answer, and the next time one comes here it is asked for again.
      if (error.status !== 404 && error.status !== 403) return;
    }
    if (this.replying === replying) this.#answers(found);
  }

  #answers(message) {
    if (message === this.replying) return;
    this.replying = message && !message.deleted_at ? message : null;
    if (!this.replying) this.#keep();
    this.#bar();
  }

  startEdit(message) {
    this.draft = this.editing ? this.draft : this.input.value;
    this.editing = message;
    this.input.value = message.content;
    this.#bar();
    this.#grow();
    this.focus();
  }

  startReply(message) {
    if (this.editing) this.#stopEdit();
    this.replying = message;
    this.#keep();
    this.#bar();
    this.focus();
  }

  /** What is being edited is no draft: the text before it still is. */
  #keep() {
    if (this.id && !this.editing)
      this.drafts.set(this.id, this.conversation, { text: this.input.value, replying: this.replying });
  }

  #stopEdit() {
    this.editing = null;
    this.input.value = this.draft;
    this.#bar();
    this.#grow();
  }

  #cancel() {
    if (this.editing) this.#stopEdit();
    else this.replying = null;
    this.#keep();
    this.#bar();
    this.focus();
  }

  #bar() {
    this.bar.hidden = !this.editing && !this.replying;
    const label = this.editing ? 'Cancel editing' : 'Cancel reply';
    this.barClose.setAttribute('aria-label', label);
    this.barClose.title = label;
    const answered = this.replying?.sender ? this.replying : null;
    const reply = answered ? `Reply to ${answered.sender.display_name}` : 'Reply';
    setText(this.barTitle, this.editing ? 'Editing your message' : reply);
    setText(this.barText, this.editing || !answered ? '' : messageText(answered));
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (this.editing) {
      const message = this.editing;
      this.#stopEdit();
      this.focus();
      // Files can stand alone.
      if ((text || message.attachments.length) && text !== message.content) this.edit(message, text);
      return;
    }
    if (!text) return;
    const { replying } = this;
    this.input.value = '';
    this.replying = null;
    this.#keep();
    this.#bar();
    this.#grow();
    this.typed(false);
    this.send(text, replying);
    this.focus();
  }

  #key(event) {
    // An input method uses Enter to choose a word.
    if (event.isComposing || this.mentions.key(event)) return;
    const touch = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !touch) {
      event.preventDefault();
      this.form.requestSubmit();
    } else if (event.key === 'Escape' && (this.editing || this.replying)) {
      event.stopPropagation();
      this.#cancel();
    } else if (event.key === 'ArrowUp' && this.input.value === '' && !this.editing) {
      const message = this.editLast();
      if (!message) return;
      event.preventDefault();
      this.startEdit(message);
    }
  }

  #changed() {
    this.#grow();
    this.#keep();
    if (!this.editing) this.typed(this.input.value.trim() !== '');
  }

  #grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
  }
}
