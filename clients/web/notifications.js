// The bell and the panel behind it: what one was notified of, each leading to its message; read one by one or all at
// once. Also where notifications of the desktop are turned on.

import { avatar } from './avatar.js';
import { noticeHash } from './desktop.js';
import { button, fill, h, setAttr, setText } from './dom.js';
import { listTime, noticeText } from './format.js';
import { drawLines } from './message.js';
import { Panel } from './panel.js';

const DESKTOP = {
  on: 'Turn off desktop notifications',
  off: 'Turn on desktop notifications',
};

/** The button that opens the panel, with a count. */
export class Bell {
  constructor(app) {
    this.app = app;
    this.badge = h('span', { class: 'badge', 'aria-hidden': 'true' });
    this.node = button('bell', 'Notifications', () => app.notifications.toggle(), {
      class: 'icon-button bell',
      'aria-controls': 'notifications',
    });
    this.node.append(this.badge);
  }

  draw() {
    const { unread } = this.app.sync.state.notices;
    setText(this.badge, unread > 99 ? '99+' : String(unread));
    this.badge.hidden = unread === 0;
    setAttr(this.node, 'aria-label', unread ? `Notifications, ${unread} unread` : 'Notifications');
    setAttr(this.node, 'aria-expanded', String(this.app.notifications.shown));
  }
}

export class NotificationsPanel extends Panel {
  constructor(app) {
    super(app, { name: 'notifications', title: 'Notifications', opener: () => app.list.bell.node });
    this.drawn = new Map();
    this.items = h('ul', { class: 'results', 'aria-label': 'Notifications' });
    this.note = h('p', { class: 'quiet', role: 'status' });
    this.all = h('button', { type: 'button', class: 'button', onclick: () => this.#read(null) }, 'Mark all read');
    this.desktop = h('button', { type: 'button', class: 'button', onclick: () => this.#desktop() });
    this.blocked = h('p', { class: 'quiet' }, 'Your browser does not let this page show desktop notifications.');
    const more = () => app.sync.inbox.more().catch((error) => app.say(error.message));
    this.more = h('button', { type: 'button', class: 'button', onclick: more }, 'Show more');
    fill(this.body, this.note, this.items, this.more);
    fill(this.footer, this.blocked, this.all, this.desktop);
    this.footer.hidden = false;
  }

  /** What did not come when the page was loaded is asked for again. */
  open() {
    const { inbox, state } = this.app.sync;
    if (!state.notices.loaded) inbox.load().catch((error) => this.app.say(error.message));
    super.open();
  }

  /** It is about all conversations: one walks through them with it. */
  moved() {}

  show() {
    const { notices } = this.app.sync.state;
    const list = notices.list();
    const empty = list.length ? '' : 'Nothing yet. Who mentions or answers you will be here.';
    const coming = this.app.sync.inbox.failed ? 'The notifications could not be loaded.' : 'Loading…';
    setText(this.note, notices.loaded ? empty : coming);
    this.note.hidden = !this.note.textContent;
    drawLines(
      this.items,
      this.drawn,
      list.map((notice) => this.#line(notice)),
    );
    this.more.hidden = notices.cursor === null;
    this.all.hidden = notices.unread === 0;
    const { state } = this.app.desktop;
    this.blocked.hidden = state !== 'blocked';
    this.desktop.hidden = !(state in DESKTOP);
    setText(this.desktop, DESKTOP[state] ?? '');
    this.footer.hidden = [...this.footer.children].every(({ hidden }) => hidden);
  }

  #line(notice) {
    const info = this.app.sync.state.get(notice.conversation_id)?.info ?? null;
    const text = noticeText(notice, info);
    const { actor, preview, read_at, created_at } = notice;
    const stamp = [text, preview, read_at, actor.avatar_url, info !== null, listTime(created_at)];
    return { key: notice.id, stamp: JSON.stringify(stamp), node: () => this.#row(notice, text, info !== null) };
  }

  #row(notice, text, there) {
    const { actor, created_at } = notice;
    const unread = !notice.read_at;
    const told = unread ? h('span', { class: 'visually-hidden' }, 'Unread: ') : null;
    const inside = [
      avatar(actor, 'small'),
      h(
        'span',
        { class: 'grow' },
        h(
          'span',
          { class: 'notice-what' },
          told,
          h('strong', {}, actor.display_name),
          text.slice(actor.display_name.length),
        ),
        notice.preview ? h('span', { class: 'snippet' }, notice.preview) : null,
        h('time', { class: 'quiet', datetime: created_at }, listTime(created_at)),
      ),
    ];
    const open = () => {
      if (unread) this.#read([notice.id]);
      if (matchMedia('(max-width: 1060px)').matches) this.app.showPanel(null);
    };
    const link = there
      ? h('a', { href: noticeHash(notice), class: 'hit', 'data-focus': 'open', onclick: open }, inside)
      : h('div', { class: 'hit' }, inside);
    const mark = (event) => {
      // The button goes; the focus stays in its row.
      event.currentTarget.parentElement.querySelector('a')?.focus();
      this.#read([notice.id]);
    };
    return h(
      'li',
      { class: unread ? 'notice unread-notice' : 'notice' },
      link,
      unread ? button('check', 'Mark read', mark) : null,
    );
  }

  #read(ids) {
    if (ids === null) this.focus();
    this.app.sync.inbox.read(ids).catch((error) => this.app.say(error.message));
  }

  #desktop() {
    const { desktop } = this.app;
    if (desktop.state === 'on') desktop.turnOff();
    else desktop.turnOn();
  }
}
