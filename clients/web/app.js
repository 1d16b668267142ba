// The signed-in page: sidebar, chat and members beside each other, redrawn from the state when it changed.
// The address' hash names the open conversation, so that back, reload and links work.

import { Announcements } from './announcements.js';
import { Chat } from './chat.js';
import { Desktop } from './desktop.js';
import { confirmDialog } from './dialogs.js';
import { h, setAttr, setText } from './dom.js';
import { Drafts } from './drafts.js';
import { messageText, placeName } from './format.js';
import { List } from './list.js';
import { Lobby } from './lobby.js';
import { Members } from './members.js';
import { NewConversation } from './new.js';
import { NotificationsPanel } from './notifications.js';
import { PinsPanel, SearchPanel } from './search.js';
import { Sync } from './sync.js';
import { ThreadPanel } from './thread.js';

/** Direct conversations at the top of the list whose other person's presence is watched. */
const WATCHED_ROWS = 200;
/** After these, whether somebody looks may be different. */
const SEEN = ['focus', 'blur', 'visibilitychange'];

export class App {
  constructor({ api, session, signedOut }) {
    Object.assign(this, { api, session, signedOut });
    this.me = session.get().user;
    this.closed = false;
    this.openId = null;
    /** A message that the address named, until it is found: `{id, asked}`. */
    this.wanted = null;
    this.sync = new Sync({ api, session, changed: () => this.changed(), told: (effect) => this.#told(effect) });
    this.drafts = new Drafts({ storage: window.localStorage, key: `starling.drafts.${this.me.id}` });
    this.desktop = new Desktop(this);
    this.list = new List(this);
    this.chat = new Chat(this);
    /** What is open beside the chat, if anything. */
    this.panel = null;
    this.members = new Members(this);
    this.thread = new ThreadPanel(this);
    this.search = new SearchPanel(this);
    this.pins = new PinsPanel(this);
    this.notifications = new NotificationsPanel(this);
    this.panels = [this.members, this.thread, this.search, this.pins, this.notifications];
    this.announcements = new Announcements(this);
    this.live = h('div', { class: 'visually-hidden', 'aria-live': 'polite' });
    this.toast = h('div', { class: 'toast', role: 'status' });
    this.node = h(
      'div',
      { class: 'app' },
      this.announcements.node,
      this.list.node,
      this.chat.node,
      this.panels.map(({ node }) => node),
      this.live,
      this.toast,
    );
    this.onHash = () => this.#route();
    this.onSeen = () => this.changed();
  }

  start() {
    window.addEventListener('hashchange', this.onHash);
    for (const type of SEEN) window.addEventListener(type, this.onSeen, true);
    this.desktop.start();
    this.sync.start();
    this.#route();
  }

  close(forget = false) {
    this.closed = true;
    window.removeEventListener('hashchange', this.onHash);
    for (const type of SEEN) window.removeEventListener(type, this.onSeen, true);
    this.desktop.stop();
    this.chat.close();
    this.sync.stop(forget);
  }

  /** Redraws soon, once for all changes until then. Not by animation frame: the title counts in hidden tabs too. */
  changed() {
    if (this.drawing || this.closed) return;
    this.drawing = setTimeout(() => {
      this.drawing = null;
      if (!this.closed) this.draw();
    }, 0);
  }

  draw() {
    const total = this.sync.state.unreadTotal();
    const title = total ? `(${total}) Starling` : 'Starling';
    if (document.title !== title) document.title = title;
    setAttr(this.node, 'data-open', String(this.openId !== null));
    setAttr(this.node, 'data-panel', String(this.panel !== null));
    this.list.draw();
    this.chat.draw();
    for (const panel of this.panels) panel.draw();
    this.announcements.draw();
    this.#signals();
    if (this.wanted?.asked === false && this.openConversation()) this.#toMessage(this.openId, this.wanted);
  }

  /** Whether somebody looks at this page. */
  looking() {
    return document.visibilityState === 'visible' && document.hasFocus();
  }

  /** Tells whose presence is on the screen, and what is looked at. */
  #signals() {
    const { state, signals, people } = this.sync;
    const rows = state.list().slice(0, WATCHED_ROWS);
    const others = rows.map(({ info }) => info.other?.id).filter(Boolean);
    const here = people.of(this.openId).map(({ id }) => id);
    signals.watch([...others, ...here, ...this.members.shownIds()].filter((id) => id !== this.me.id));
    signals.inUse(document.visibilityState === 'visible', this.looking() ? this.openId : null);
  }

  /** Shows one panel beside the chat, or none. */
  showPanel(panel) {
    this.panel = panel;
    this.draw();
  }

  searchAll() {
    this.search.everywhere.checked = true;
    this.search.open();
  }

  /** Opens a conversation at a message. */
  jumpTo(id, seq) {
    if (this.openId !== id) {
      location.hash = `#/c/${id}`;
      this.#route();
    }
    this.chat.jump(seq);
  }

  open(id) {
    location.hash = `#/c/${id}`;
  }

  openConversation() {
    return this.openId && this.sync.state.get(this.openId);
  }

  newConversation() {
    new NewConversation(this).show();
  }

  lobby() {
    new Lobby(this).show();
  }

  async leave(conversation) {
    const name = placeName(conversation.info);
    if (
      !(await confirmDialog({
        title: `Leave ${name}?`,
        text: 'You will no longer see its messages.',
        yes: 'Leave',
      }))
    )
      return;
    try {
      await this.api.post(`/v1/conversations/${conversation.info.id}/leave`);
      this.sync.left(conversation.info.id);
    } catch (error) {
      this.say(
        error.code === 'last_owner'
          ? 'You are the last owner: somebody else has to become one first.'
          : error.message,
      );
    }
  }

  async signOut() {
    const unsent = this.sync.outbox.items.length;
    const text = unsent
      ? 'Messages that were not sent yet will be lost.'
      : 'As a guest you can only come back with another name.';
    if ((unsent || this.me.guest) && !(await confirmDialog({ title: 'Sign out?', text, yes: 'Sign out' }))) return;
    this.close(true);
    this.drafts.clear();
    await this.api.signOut();
    history.replaceState(null, '', location.pathname);
    this.signedOut();
  }

  /** A short notice that goes away by itself. */
  say(text) {
    clearTimeout(this.toastTimer);
    setText(this.toast, text);
    this.toast.classList.add('shown');
    this.toastTimer = setTimeout(() => this.toast.classList.remove('shown'), 5000);
  }

  #route() {
    const [, id, message] = /^#\/c\/([\w-]+)(?:\/m\/([\w-]+))?$/.exec(location.hash) ?? [];
    // Only on the way: the same link has to lead there again.
    if (message) history.replaceState(null, '', `#/c/${id}`);
    this.wanted = message ? { id: message, asked: false } : null;
    const moved = this.openId !== (id ?? null);
    this.openId = id ?? null;
    if (moved) for (const panel of this.panels) panel.moved();
    this.chat.show(this.openId);
    this.draw();
  }

  /** Shows the message that the address named. */
  async #toMessage(conversationId, wanted) {
    wanted.asked = true;
    try {
      const { seq, conversation_id } = await this.api.get(`/v1/messages/${wanted.id}`);
      if (this.wanted === wanted && conversation_id === conversationId) this.chat.jump(seq);
    } catch (error) {
      this.say(error.status === 404 ? 'This message is not there any more.' : error.message);
    }
    if (this.wanted === wanted) this.wanted = null;
    this.changed();
  }

  #told(effect) {
    if (effect.type === 'loaded') {
      this.drafts.keepOnly((id) => this.sync.state.get(id));
    } else if (effect.type === 'left') {
      this.drafts.forget(effect.conversation_id);
      if (effect.conversation_id !== this.openId) return;
      location.hash = '';
      this.say(`You are no longer in ${placeName(effect.info)}.`);
    } else if (effect.type === 'arrived') {
      const { message } = effect;
      this.desktop.message(message);
      const own = message.sender.id === this.me.id;
      if (!own && message.conversation_id === this.openId)
        setText(this.live, `${message.sender.display_name}: ${messageText(message)}`);
    } else if (effect.type === 'settled') {
      this.desktop.settled();
    } else if (effect.type === 'notified') {
      this.desktop.notice(effect.notice);
    } else if (effect.type === 'profile') {
      this.members.profile(effect.user);
      if (effect.user.id !== this.me.id) return;
      this.me = effect.user;
      this.session.profile(effect.user);
    } else if (effect.type === 'stopped' && [4500, 4501, 4504].includes(effect.code)) {
      this.session.clear();
      this.signedOut(effect.message);
    }
  }
}
