// Notifications of the desktop, outside of the page. Promises: the browser is asked for leave by a click alone; nothing
// is shown while a tab of this user is in sight, nor of what the server would not notify of; of several tabs one
// shows it. Locks tell the tabs of each other: they go with the tab that held them, however it ends, and are there
// wherever notifications are (https and localhost).

import { wanted } from './conversation.js';
import { messageText, noticeText, placeName } from './format.js';

/** A tab that hears of the same later than this after another one shows it again. */
const SHOWN_MS = 60_000;

export class Desktop {
  constructor(app) {
    this.app = app;
    this.key = `starling.desktop.${app.me.id}`;
    this.inSight = `${this.key}.in-sight`;
    /** Lets go of the lock that says that this tab is in sight. */
    this.hide = null;
    /** What came before it was known whom we block and what we want to be told of. */
    this.early = [];
    this.onSight = () => this.#sight(document.visibilityState === 'visible');
  }

  start() {
    document.addEventListener('visibilitychange', this.onSight);
    this.onSight();
  }

  stop() {
    document.removeEventListener('visibilitychange', this.onSight);
    this.#sight(false);
  }

  /** `absent` (this browser has none), `blocked` (by its user), `off`, `on`. */
  get state() {
    if (!('Notification' in window)) return 'absent';
    if (Notification.permission === 'denied') return 'blocked';
    return Notification.permission === 'granted' && localStorage.getItem(this.key) ? 'on' : 'off';
  }

  /** Asked for by a click. */
  async turnOn() {
    if ((await Notification.requestPermission()) === 'granted') localStorage.setItem(this.key, 'on');
    this.app.changed();
  }

  turnOff() {
    localStorage.removeItem(this.key);
    this.app.changed();
  }

  /** The server stored a notification for us. */
  notice(notice) {
    const conversation = this.app.sync.state.get(notice.conversation_id);
    this.#show({
      title: noticeText(notice, conversation?.info ?? null),
      body: notice.preview,
      tag: notice.message_id,
      to: noticeHash(notice),
    });
  }

  /** A message came. Of those that name or answer us the server stores notifications. */
  message(message) {
    const { state } = this.app.sync;
    const { me } = this.app;
    const conversation = state.get(message.conversation_id);
    if (!state.settled) {
      this.early.push(message);
      return;
    }
    if (!conversation || message.sender.id === me.id || state.blocked.has(message.sender.id)) return;
    const stored = message.mentions.some(({ user }) => user?.id === me.id) || message.reply_to?.sender.id === me.id;
    if (stored || !wanted(conversation, state.preferred, message)) return;
    const { info } = conversation;
    const { display_name } = message.sender;
    this.#show({
      title: info.kind === 'direct' ? placeName(info) : `${display_name} in ${placeName(info)}`,
      body: messageText(message),
      tag: message.id,
      to: `#/c/${info.id}/m/${message.id}`,
    });
  }

  /** That is known now. */
  settled() {
    for (const message of this.early.splice(0)) this.message(message);
  }

  #sight(visible) {
    if (visible === Boolean(this.hide)) return;
    this.hide?.();
    this.hide = null;
    if (!visible) return;
    const hidden = new Promise((done) => (this.hide = done));
    navigator.locks?.request(this.inSight, { mode: 'shared' }, () => hidden).catch(() => {});
  }

  /** Whether it is this tab that shows it: none is in sight, and no other one was faster. */
  async #ours(tag) {
    const { locks } = navigator;
    if (!locks) return true;
    const { held } = await locks.query();
    if (held.some(({ name }) => name === this.inSight)) return false;
    return new Promise((answer, failed) => {
      const shown = (lock) => {
        answer(lock !== null);
        return lock && new Promise((done) => setTimeout(done, SHOWN_MS));
      };
      locks.request(`${this.key}.shown.${tag}`, { ifAvailable: true }, shown).catch(failed);
    });
  }

  async #show({ title, body, tag, to }) {
    if (document.visibilityState === 'visible' || this.state !== 'on') return;
    if (!(await this.#ours(tag).catch(() => true))) return;
    try {
      const shown = new Notification(title, { body, tag, icon: '/favicon.svg' });
      shown.onclick = () => {
        window.focus();
        location.hash = to;
        shown.close();
      };
    } catch {
      // Phones have them for installed apps alone.
    }
  }
}

/** Where a notification leads. */
export function noticeHash({ kind, conversation_id, message_id }) {
  return kind === 'added' ? `#/c/${conversation_id}` : `#/c/${conversation_id}/m/${message_id}`;
}
