// The sidebar: who I am, how the connection is, my conversations by last activity.

import { avatar, setAvatar } from './avatar.js';
import { arrange, button, h, icon, setAttr, setText } from './dom.js';
import { mentioned, muted, typists, unread } from './conversation.js';
import { conversationName, count, initials, listTime, preview, typingText } from './format.js';
import { Bell } from './notifications.js';
import { editProfile } from './profile.js';

/** How a connection is told to people. */
export const CONNECTION = {
  connecting: 'Connecting…',
  connected: 'Connected',
  reconnecting: 'Reconnecting…',
  stopped: 'Disconnected',
};

export class List {
  constructor(app) {
    this.app = app;
    this.rows = new Map();
    this.status = h('span', { class: 'status-text' });
    this.connection = h(
      'p',
      { class: 'status', role: 'status' },
      h('span', { class: 'dot', 'aria-hidden': 'true' }),
      this.status,
    );
    this.retry = h('button', { type: 'button', class: 'button small', onclick: () => location.reload() }, 'Reload');
    this.items = h('ul', { class: 'conversations' });
    this.empty = h('p', { class: 'empty quiet' });
    this.bell = new Bell(app);
    this.avatar = avatar(app.me);
    this.name = h('strong', { class: 'ellipsis me' });
    this.profile = h(
      'button',
      { type: 'button', class: 'avatar-button', title: 'Your profile', onclick: () => editProfile(app) },
      h('span', { class: 'visually-hidden' }, 'Your profile'),
      this.avatar,
    );
    this.node = h(
      'nav',
      { class: 'sidebar', 'aria-label': 'Conversations' },
      h(
        'header',
        { class: 'bar' },
        this.profile,
        h('div', { class: 'grow' }, this.name, this.connection),
        this.retry,
        h(
          'div',
          { class: 'bar-buttons' },
          this.bell.node,
          button('search', 'Search all conversations', () => app.searchAll()),
          button('out', 'Sign out', () => app.signOut()),
        ),
      ),
      h(
        'div',
        { class: 'actions' },
        h(
          'button',
          { type: 'button', class: 'button primary', onclick: () => app.newConversation() },
          icon('plus'),
          'New',
        ),
        h('button', { type: 'button', class: 'button', onclick: () => app.lobby() }, icon('globe'), 'Public rooms'),
      ),
      this.items,
      this.empty,
    );
  }

  draw() {
    const { state, connection } = this.app.sync;
    setAttr(this.connection, 'data-state', connection.name);
    setAvatar(this.avatar, this.app.me);
    setText(this.name, this.app.me.display_name);
    this.bell.draw();
    setText(this.status, connection.message ?? CONNECTION[connection.name]);
    this.retry.hidden = connection.name !== 'stopped';
    const conversations = state.list();
    this.empty.hidden = conversations.length > 0;
    setText(
      this.empty,
      state.loaded ? 'No conversations yet. Start one, or look around in the public rooms.' : 'Loading…',
    );
    const wanted = conversations.map((conversation) => this.#row(conversation).node);
    arrange(this.items, wanted);
    if (this.rows.size > conversations.length) {
      for (const id of this.rows.keys()) if (!state.get(id)) this.rows.delete(id);
    }
  }

  #row(conversation) {
    const { info } = conversation;
    let row = this.rows.get(info.id);
    if (!row) this.rows.set(info.id, (row = newRow(info)));
    const name = conversationName(info);
    const n = unread(conversation);
    const pending = this.app.sync.outbox.of(info.id).at(-1);
    setText(row.name, name);
    setText(row.time, listTime(info.last_activity_at));
    setAttr(row.time, 'datetime', info.last_activity_at);
    const typing = typingText(typists(conversation), info.kind);
    const last = pending ? `You: ${pending.content}` : preview(info.last_message, this.app.me.id, info.kind);
    setText(row.preview, typing || last);
    setAttr(row.preview, 'data-typing', typing ? 'true' : null);
    this.#marks(row, conversation);
    const { avatar_url } = info.other ?? info;
    setAvatar(row.avatar, { display_name: name, avatar_url, letters: info.kind === 'public' ? '#' : initials(name) });
    setText(row.subject, info.subject?.title ?? '');
    row.subject.hidden = !info.subject;
    setText(row.badge, n > 99 ? '99+' : String(n));
    setAttr(row.badge, 'aria-label', `${count(n, 'unread message')}`);
    row.badge.hidden = n === 0;
    setAttr(row.badge, 'data-muted', muted(conversation) ? 'true' : null);
    setAttr(row.link, 'aria-current', info.id === this.app.openId ? 'page' : null);
    return row;
  }

  /** Presence, mute, pin, mentions. */
  #marks(row, conversation) {
    const { info } = conversation;
    const there = info.other && this.app.sync.state.presence.get(info.other.id)?.state;
    setPresence(row.presence, there ?? null);
    setText(row.there, there && there !== 'offline' ? `, ${there}` : '');
    row.muted.hidden = !muted(conversation);
    row.pinned.hidden = !info.pinned_at;
    const n = mentioned(conversation);
    row.mention.hidden = n === 0;
    setAttr(row.mention, 'aria-label', count(n, 'mention'));
  }
}

/** Shows a presence dot, or none where it is not known. */
export function setPresence(dot, state) {
  dot.hidden = !state;
  setAttr(dot, 'data-state', state);
}

function newRow(info) {
  const row = {
    avatar: avatar({ id: info.other?.id ?? info.id, display_name: conversationName(info) }),
    name: h('span', { class: 'row-name ellipsis' }),
    subject: h('span', { class: 'row-subject ellipsis' }),
    time: h('time', { class: 'quiet' }),
    preview: h('span', { class: 'row-preview ellipsis quiet' }),
    badge: h('span', { class: 'badge unread', role: 'img' }),
    mention: h('span', { class: 'badge mention-badge', role: 'img' }, '@'),
    muted: h('span', { class: 'mark', role: 'img', 'aria-label': 'Muted' }, icon('mute')),
    pinned: h('span', { class: 'mark', role: 'img', 'aria-label': 'Pinned' }, icon('pin')),
    presence: h('span', { class: 'presence', 'aria-hidden': 'true' }),
    there: h('span', { class: 'visually-hidden' }),
  };
  row.link = h(
    'a',
    { href: `#/c/${info.id}`, class: 'row-link' },
    h('span', { class: 'avatar-place' }, row.avatar, row.presence),
    h(
      'span',
      { class: 'grow' },
      h('span', { class: 'line' }, row.name, row.there, row.muted, row.pinned, row.time),
      row.subject,
      h('span', { class: 'line' }, row.preview, row.mention, row.badge),
    ),
  );
  row.node = h('li', { 'data-id': info.id }, row.link);
  return row;
}
