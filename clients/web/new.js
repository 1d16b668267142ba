// The dialog that starts a conversation: with one person, a group by invitation, or a public room.

import { randomId } from './api.js';
import { Dialog } from './dialogs.js';
import { fill, h } from './dom.js';
import { PeoplePicker } from './people.js';
import { field } from './signin.js';

const KINDS = { direct: 'One person', group: 'Group', public: 'Public room' };

export class NewConversation {
  constructor(app) {
    this.app = app;
    // One key for one intention: pressing the button again after a lost answer does not make a second one.
    this.key = randomId();
    this.error = h('p', { class: 'form-error', role: 'alert' });
    this.body = h('div', {});
    const choice = ([kind, label]) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'kind',
          value: kind,
          checked: kind === 'direct',
          onchange: () => this.#kind(kind),
        }),
        h('span', {}, label),
      );
    this.dialog = new Dialog(
      { title: 'New conversation' },
      h(
        'fieldset',
        { class: 'segments' },
        h('legend', { class: 'visually-hidden' }, 'Kind'),
        Object.entries(KINDS).map(choice),
      ),
      this.body,
    );
    this.#kind('direct');
  }

  show() {
    this.dialog.show();
    this.body.querySelector('input')?.focus();
  }

  #kind(kind) {
    this.key = randomId();
    this.error.textContent = '';
    fill(this.body, this[kind](), this.error);
  }

  direct() {
    const hide = (user) => user.id === this.app.me.id;
    const picked = (user) => this.#create({ kind: 'direct', participant_ids: [user.id] });
    return new PeoplePicker({ api: this.app.api, hide, picked }).node;
  }

  group() {
    const title = field('Title', { maxlength: '120' });
    const people = new PeoplePicker({
      api: this.app.api,
      several: true,
      hide: (user) => user.id === this.app.me.id,
    });
    return this.#form([title.label, people.node], 'Create group', () => ({
      kind: 'group',
      title: title.input.value.trim(),
      participant_ids: people.ids(),
    }));
  }

  public() {
    const title = field('Title', { maxlength: '120' });
    const description = field('What is it about? (optional)', { maxlength: '1000', required: false });
    return this.#form([title.label, description.label], 'Create public room', () => ({
      kind: 'public',
      title: title.input.value.trim(),
      description: description.input.value.trim() || undefined,
    }));
  }

  #form(fields, label, request) {
    this.submit = h('button', { type: 'submit', class: 'button primary' }, label);
    const send = (event) => {
      event.preventDefault();
      this.#create(request());
    };
    return h('form', { onsubmit: send }, fields, h('div', { class: 'row end' }, this.submit));
  }

  async #create(request) {
    if (this.busy) return;
    this.busy = true;
    this.error.textContent = '';
    try {
      const info = await this.app.api.post('/v1/conversations', request, { 'idempotency-key': this.key });
      this.app.sync.joined(info);
      this.dialog.close();
      this.app.open(info.id);
    } catch (error) {
      // What the key stands for was refused or is about to be changed.
      if (error.status >= 400 && error.status < 500) this.key = randomId();
      this.error.textContent = error.errors?.map((e) => `${e.field} ${e.message}`).join('; ') || error.message;
    }
    this.busy = false;
  }
}
