// The panel beside a chat: who takes part; add, remove, leave. Loaded when opened and after each change of membership.

import { confirmDialog, Dialog } from './dialogs.js';
import { fill, h, setText } from './dom.js';
import { avatar, button } from './list.js';
import { PeoplePicker } from './people.js';

const ROLES = { owner: 'Owner', admin: 'Admin', member: '' };

export class Members {
  constructor(app) {
    this.app = app;
    this.shown = false;
    this.loadedFor = null;
    this.title = h('h2', {}, 'Members');
    this.items = h('ul', { class: 'results' });
    this.more = h('button', { type: 'button', class: 'button', onclick: () => this.#load(true) }, 'Show more');
    this.add = h('button', { type: 'button', class: 'button', onclick: () => this.#add() }, 'Add people');
    this.leave = h(
      'button',
      { type: 'button', class: 'button danger', onclick: () => app.leave(app.openConversation()) },
      'Leave',
    );
    this.description = h('p', { class: 'quiet' });
    this.node = h(
      'aside',
      { class: 'members', 'aria-label': 'Members', id: 'members' },
      h(
        'header',
        { class: 'bar' },
        h('div', { class: 'grow' }, this.title),
        button('close', 'Close members', () => this.toggle()),
      ),
      h('div', { class: 'members-body' }, this.description, this.items, this.more),
      h('footer', { class: 'row' }, this.add, this.leave),
    );
    this.node.hidden = true;
    this.node.addEventListener('keydown', (event) => event.key === 'Escape' && this.toggle());
  }

  toggle() {
    this.shown = !this.shown;
    this.loadedFor = null;
    this.app.draw();
    if (this.shown) this.node.querySelector('.icon-button').focus();
    else this.app.chat.membersButton.focus();
  }

  hide() {
    this.shown = false;
  }

  draw() {
    const conversation = this.app.openConversation();
    const visible = this.shown && Boolean(conversation);
    this.node.hidden = !visible;
    if (!visible) return;
    const { info } = conversation;
    const manager = info.role === 'owner' || info.role === 'admin';
    this.add.hidden = info.kind !== 'group' || !manager;
    this.leave.hidden = info.kind === 'direct';
    setText(this.title, `Members (${info.participant_count})`);
    setText(this.description, info.description ?? '');
    this.description.hidden = !info.description;
    // Anything that changes who is there or what they may do changes this.
    const key = `${info.id} ${info.participant_count} ${info.role} ${lastSystem(conversation)}`;
    if (key !== this.loadedFor) {
      this.loadedFor = key;
      this.#load();
    }
  }

  async #load(more = false) {
    const conversation = this.app.openConversation();
    const { id } = conversation.info;
    try {
      const cursor = more ? this.cursor : null;
      const page = await this.app.api.get(`/v1/conversations/${id}/participants`, { limit: 100, cursor });
      if (this.app.openId !== id) return;
      this.cursor = page.next_cursor;
      this.people = more ? [...this.people, ...page.items] : page.items;
      this.more.hidden = page.next_cursor === null;
      fill(
        this.items,
        this.people.map((participant) => this.#row(conversation.info, participant)),
      );
    } catch (error) {
      this.app.say(error.message);
    }
  }

  #row(info, { user, role }) {
    const me = user.id === this.app.me.id;
    const rank = { member: 0, admin: 1, owner: 2 };
    const removable = !me && info.kind !== 'direct' && rank[info.role] >= 1 && rank[info.role] >= rank[role];
    return h(
      'li',
      { class: 'member' },
      avatar(user.display_name, user.id, 'small'),
      h('span', { class: 'grow ellipsis' }, user.display_name, me ? h('span', { class: 'quiet' }, ' (you)') : null),
      ROLES[role] ? h('span', { class: 'tag' }, ROLES[role]) : null,
      removable ? button('close', `Remove ${user.display_name}`, () => this.#remove(info, user)) : null,
    );
  }

  async #remove(info, user) {
    const ask = {
      title: `Remove ${user.display_name}?`,
      text: 'They will no longer see this conversation.',
      yes: 'Remove',
    };
    if (!(await confirmDialog(ask))) return;
    try {
      await this.app.api.delete(`/v1/conversations/${info.id}/participants/${user.id}`);
    } catch (error) {
      this.app.say(error.message);
    }
  }

  #add() {
    const { info } = this.app.openConversation();
    const here = new Set(this.people?.map(({ user }) => user.id));
    const picker = new PeoplePicker({ api: this.app.api, several: true, hide: (user) => here.has(user.id) });
    const error = h('p', { class: 'form-error', role: 'alert' });
    const add = async () => {
      if (picker.ids().length === 0) return;
      try {
        await this.app.api.post(`/v1/conversations/${info.id}/participants`, { user_ids: picker.ids() });
        dialog.close();
      } catch (refused) {
        error.textContent = refused.message;
      }
    };
    const act = h('button', { type: 'button', class: 'button primary', onclick: add }, 'Add');
    const dialog = new Dialog({ title: 'Add people' }, picker.node, error, h('div', { class: 'row end' }, act));
    dialog.show();
    picker.input.focus();
  }
}

function lastSystem({ timeline }) {
  return timeline.list().findLast((message) => message.kind === 'system')?.seq ?? 0;
}
