// The panel beside a chat: who takes part; add, remove, leave. Loaded when opened and after each change of membership.

import { avatar } from './avatar.js';
import { Dialog } from './dialogs.js';
import { button, fill, h, setText } from './dom.js';
import { presenceText } from './format.js';
import { setPresence } from './list.js';
import { memberMenu } from './member-menu.js';
import { Paged } from './paged.js';
import { Panel } from './panel.js';
import { PeoplePicker } from './people.js';
import { drawSubject } from './subject.js';

const ROLES = { owner: 'Owner', admin: 'Admin', member: '' };

export class Members extends Panel {
  constructor(app) {
    super(app, { name: 'members', title: 'Members', opener: () => app.chat.membersButton });
    this.loadedFor = null;
    this.listed = new Paged();
    this.rows = [];
    this.items = h('ul', { class: 'results' });
    this.more = h('button', { type: 'button', class: 'button', onclick: () => this.#more() }, 'Show more');
    this.add = h('button', { type: 'button', class: 'button', onclick: () => this.#add() }, 'Add people');
    this.leave = h(
      'button',
      { type: 'button', class: 'button danger', onclick: () => app.leave(app.openConversation()) },
      'Leave',
    );
    this.description = h('p', { class: 'quiet' });
    this.subject = h('p', { class: 'about' });
    fill(this.body, this.subject, this.description, this.items, this.more);
    fill(this.footer, this.add, this.leave);
    this.footer.hidden = false;
  }

  open() {
    this.loadedFor = null;
    super.open();
  }

  show() {
    const conversation = this.app.openConversation();
    if (!conversation) return;
    const { info } = conversation;
    const manager = info.role === 'owner' || info.role === 'admin';
    this.add.hidden = info.kind !== 'group' || !manager;
    this.leave.hidden = info.kind === 'direct';
    this.footer.hidden = this.add.hidden && this.leave.hidden;
    this.heading(`Members (${info.participant_count})`);
    setText(this.description, info.description ?? '');
    this.description.hidden = !info.description;
    drawSubject(this.subject, info.subject, 'About ');
    this.#presence();
    // Anything that changes who is there or what they may do changes this.
    const { blocked } = this.app.sync.state;
    const key = `${info.id} ${info.participant_count} ${info.role} ${blocked.size} ${lastSystem(conversation)}`;
    if (key !== this.loadedFor) {
      this.loadedFor = key;
      this.#load(() => this.listed.begin((cursor) => this.#page(info.id, cursor), info.id));
    }
  }

  /** Those who are listed, for the watch of presence. */
  shownIds() {
    return this.shown ? this.listed.items.map(({ user }) => user.id) : [];
  }

  /** Somebody has another name, picture or status. */
  profile(user) {
    const { items } = this.listed;
    if (!items.some((participant) => participant.user.id === user.id)) return;
    this.listed.items = items.map((each) => (each.user.id === user.id ? { ...each, user } : each));
    const conversation = this.app.openConversation();
    if (conversation && this.shown) this.#fill(conversation);
    else this.loadedFor = null;
  }

  #presence() {
    const { presence } = this.app.sync.state;
    for (const { id, dot, there, status } of this.rows) {
      setPresence(dot, presence.get(id)?.state ?? null);
      setText(there, [presenceText(presence.get(id)), status].filter(Boolean).join(' · '));
    }
  }

  async #page(id, cursor) {
    const page = await this.app.api.get(`/v1/conversations/${id}/participants`, { limit: 100, cursor });
    const { state } = this.app.sync;
    return { ...page, items: page.items.map((each) => ({ ...each, user: state.now(each.user) })) };
  }

  #more() {
    return this.#load(() => this.listed.more());
  }

  async #load(work) {
    const id = this.app.openId;
    try {
      if (!(await work())) return;
    } catch (error) {
      this.app.say(error.message);
    }
    const conversation = this.app.openConversation();
    if (conversation?.info.id === id) this.#fill(conversation);
  }

  #fill(conversation) {
    this.more.hidden = this.listed.cursor === null;
    this.rows = this.listed.items.map((participant) => this.#row(conversation, participant));
    fill(
      this.items,
      this.rows.map(({ node }) => node),
    );
    this.app.changed();
  }

  #row(conversation, { user, role }) {
    const me = user.id === this.app.me.id;
    const dot = h('span', { class: 'presence', 'aria-hidden': 'true' });
    const there = h('span', { class: 'there quiet ellipsis' });
    const blocked = this.app.sync.state.blocked.has(user.id);
    const open = (event) => memberMenu(this.app, conversation, { user, role }, event.currentTarget);
    const popup = { 'aria-haspopup': 'menu', 'aria-expanded': 'false' };
    const node = h(
      'li',
      { class: 'member' },
      h('span', { class: 'avatar-place' }, avatar(user, 'small'), dot),
      h(
        'span',
        { class: 'grow' },
        h('span', { class: 'ellipsis' }, user.display_name, me ? h('span', { class: 'quiet' }, ' (you)') : null),
        there,
      ),
      blocked ? h('span', { class: 'tag' }, 'Blocked') : null,
      ROLES[role] ? h('span', { class: 'tag' }, ROLES[role]) : null,
      me ? null : button('more', `About ${user.display_name}`, open, popup),
    );
    return { id: user.id, dot, there, status: user.status_text, node };
  }

  #add() {
    const { info } = this.app.openConversation();
    const here = new Set(this.listed.items.map(({ user }) => user.id));
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
