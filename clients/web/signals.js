// What this page tells of its user and asks of others, and nobody keeps: typing, whether the page is in use and
// what is on its screen, whose presence is watched. All of it is told anew on each connection.

/**
 * As long as one types, it is told again after this, and not before: the server lets one through in 3 s by its own
 * clock, and others forget it after 5 s.
 */
const TYPING_MS = 3300;
/** What one connection may watch. */
const WATCH_MAX = 500;

export class Signals {
  /** `request(type, fields)` asks the socket; `present(items)` takes what it says of presence. */
  constructor({ request, present }) {
    Object.assign(this, { request, present });
    this.online = false;
    this.watched = new Set();
    this.wanted = [];
    this.said = null;
    this.use = { state: 'active', focus: null };
    /** Where one types, when that was told last, and when it will be. */
    this.typing = null;
    this.lastStart = { id: null, at: 0 };
    this.timer = null;
  }

  connected() {
    this.online = true;
    this.said = null;
    this.watched.clear();
    this.#watch();
    this.#use();
  }

  /** The connection is gone, or we are. */
  lost() {
    this.online = false;
    this.typing = null;
    clearTimeout(this.timer);
    this.timer = null;
  }

  /** Whom to watch from now on: those on the screen. */
  watch(ids) {
    this.wanted = [...new Set(ids)].slice(0, WATCH_MAX);
    this.#watch();
  }

  /** Whether somebody looks at this page, and at which conversation. */
  inUse(active, focus) {
    this.use = { state: active ? 'active' : 'away', focus: active ? focus : null };
    this.#use();
  }

  /** Something was typed in a conversation. */
  typed(id) {
    if (!this.online) return;
    if (this.typing !== id) this.stopped();
    this.typing = id;
    // Told too early it would be dropped, and with it that one types at all.
    const wait = this.lastStart.id === id ? this.lastStart.at + TYPING_MS - Date.now() : 0;
    this.timer ??= setTimeout(() => this.#start(), Math.max(0, wait));
  }

  /** The text was sent or emptied, or another conversation is open. */
  stopped() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.typing && this.lastStart.id === this.typing) this.#tell('typing.stop', { conversation_id: this.typing });
    this.typing = null;
  }

  #start() {
    this.timer = null;
    if (!this.typing || !this.online) return;
    this.lastStart = { id: this.typing, at: Date.now() };
    this.#tell('typing.start', { conversation_id: this.typing });
  }

  #watch() {
    if (!this.online) return;
    const now = new Set(this.wanted);
    const gone = [...this.watched].filter((id) => !now.has(id));
    const come = this.wanted.filter((id) => !this.watched.has(id));
    this.watched = now;
    if (gone.length) this.#tell('presence.unwatch', { user_ids: gone });
    if (come.length) this.#tell('presence.watch', { user_ids: come }, ({ items }) => this.present(items));
  }

  #use() {
    const said = JSON.stringify(this.use);
    if (!this.online || said === this.said) return;
    this.said = said;
    this.#tell('presence.set', this.use);
  }

  /** A refusal or a lost connection is nothing to show: the next connection tells it all again. */
  #tell(type, fields, done = () => {}) {
    this.request(type, fields).then(done, () => {});
  }
}
