// One WebSocket that comes back by itself. Promises: `hello` is the first command on each connection,
// frames are handed over in the order they came, a lost connection rejects what waits for a reply, and
// the close code alone decides whether to reconnect. Knows nothing of conversations.

const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const REPLY_TIMEOUT_MS = 10_000;
/** The reply to `hello` comes after everything that was missed. */
const RESUME_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 4_000;

/** Whether a client that was closed with `code` reconnects; the same rule as `crates/protocol/src/close.rs`. */
export function shouldReconnect(code) {
  return !((code >= 4500 && code <= 4999) || [1002, 1003, 1007, 1008, 1009].includes(code));
}

/** Full jitter: anything from 0 to a bound that doubles with each attempt. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt);
}

const STOPPED = {
  4500: 'The server did not accept your sign-in.',
  4501: 'Your session was ended.',
  4502: 'The server did not understand this page. Reload it.',
  4503: 'The server does not accept connections from this address.',
  4504: 'Your account was disabled.',
};

export class ReplyError extends Error {
  constructor({ code, message, retry_after_ms = null }) {
    super(message);
    this.name = 'ReplyError';
    this.code = code;
    this.retryAfterMs = retry_after_ms;
  }
}

const lost = () => new ReplyError({ code: 'connection_lost', message: 'The connection was lost.' });

export class Socket {
  /**
   * `url()` resolves to the address with a fresh ticket. `hello(connected)` gives the fields of the first command,
   * `ready(reply)` hears its answer (null when it came too late to be heard: events flow, nothing was resumed),
   * `frame(frame)` everything else. `state({name, message?})` tells `connecting`, `connected`,
   * `reconnecting` or `stopped` (with `code`).
   */
  constructor({ url, hello, ready, frame, state }) {
    Object.assign(this, { url, hello, ready, frame, onState: state });
    this.ws = null;
    this.attempt = 0;
    this.refs = 0;
    this.waiting = new Map();
    this.timers = {};
    this.running = false;
    this.lastLife = 0;
    this.heartbeatMs = 25_000;
    this.live = false;
    this.wake = () => this.#wake();
  }

  start() {
    this.running = true;
    for (const type of ['online', 'offline', 'pageshow']) window.addEventListener(type, this.wake);
    document.addEventListener('visibilitychange', this.wake);
    this.onState({ name: 'connecting' });
    this.#connect();
  }

  stop() {
    this.running = false;
    for (const type of ['online', 'offline', 'pageshow']) window.removeEventListener(type, this.wake);
    document.removeEventListener('visibilitychange', this.wake);
    this.#drop();
  }

  /** Sends a command; resolves to the reply's data or rejects with a ReplyError. */
  request(type, fields = {}, timeoutMs = REPLY_TIMEOUT_MS) {
    const ws = this.ws;
    if (ws?.readyState !== WebSocket.OPEN) return Promise.reject(lost());
    const ref = String(++this.refs);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(ref);
        reject(new ReplyError({ code: 'timeout', message: 'The server took too long to answer.' }));
      }, timeoutMs);
      this.waiting.set(ref, { resolve, reject, timer });
      ws.send(JSON.stringify({ type, ref, ...fields }));
    });
  }

  /** Leaves this connection for a new one, without waiting. */
  reconnect() {
    if (!this.running) return;
    this.attempt = 0;
    this.#drop();
    this.#retry(0);
  }

  async #connect() {
    clearTimeout(this.timers.retry);
    this.timers.retry = null;
    const mine = Symbol('connection');
    this.current = mine;
    const stale = () => this.current !== mine || !this.running;
    let url;
    try {
      url = await this.url();
    } catch (error) {
      if (stale()) return;
      if (error.status === 401) return this.#stopped(4500, error.message);
      return this.#retry(error.retryAfterMs);
    }
    if (stale()) return;
    const ws = new WebSocket(url);
    this.ws = ws;
    this.timers.connect = setTimeout(() => this.ws === ws && this.#lost(1006), CONNECT_TIMEOUT_MS);
    ws.onmessage = (event) => this.ws === ws && this.#message(event.data);
    ws.onclose = (event) => this.ws === ws && this.#lost(event.code);
  }

  #message(text) {
    this.lastLife = Date.now();
    const frame = JSON.parse(text);
    switch (frame.type) {
      case 'connected':
        this.#connected(frame.data);
        break;
      case 'reply':
        this.#reply(frame);
        break;
      case 'heartbeat':
        break;
      case 'reconnect':
        clearTimeout(this.timers.move);
        this.timers.move = setTimeout(() => this.reconnect(), frame.data.after_ms);
        break;
      default:
        this.frame(frame);
    }
  }

  async #connected(data) {
    const ws = this.ws;
    clearTimeout(this.timers.connect);
    this.heartbeatMs = data.heartbeat_interval_ms;
    clearInterval(this.timers.watch);
    this.timers.watch = setInterval(() => this.#watch(), Math.max(1000, this.heartbeatMs / 4));
    try {
      const reply = await this.request('hello', this.hello(data), RESUME_TIMEOUT_MS);
      if (this.ws === ws) this.#live(reply);
    } catch (error) {
      if (this.ws !== ws) return;
      // The server waits a second for it; on a very slow line that never suffices.
      if (error.code === 'invalid') {
        this.#live(null);
        return;
      }
      this.#drop();
      this.#retry(error.retryAfterMs);
    }
  }

  #live(reply) {
    this.attempt = 0;
    this.live = true;
    this.onState({ name: 'connected' });
    this.ready(reply);
  }

  #reply({ ref, ok, data, error }) {
    const waiting = this.waiting.get(ref);
    if (!waiting) return;
    this.waiting.delete(ref);
    clearTimeout(waiting.timer);
    if (ok) waiting.resolve(data);
    else waiting.reject(new ReplyError(error));
  }

  #lost(code) {
    this.#drop();
    if (shouldReconnect(code)) this.#retry(null);
    else this.#stopped(code, STOPPED[code] ?? `The server ended the connection (${code}).`);
  }

  #retry(afterMs) {
    this.onState({ name: 'reconnecting' });
    const wait = (afterMs ?? 0) + (afterMs === 0 ? 0 : backoff(this.attempt++));
    this.timers.retry = setTimeout(() => this.#connect(), wait);
  }

  #stopped(code, message) {
    this.stop();
    this.onState({ name: 'stopped', code, message });
  }

  #drop() {
    const ws = this.ws;
    this.ws = null;
    this.current = null;
    this.live = false;
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    this.timers = {};
    if (ws) {
      ws.onmessage = ws.onclose = null;
      ws.close(1000);
    }
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(lost());
    }
    this.waiting.clear();
  }

  /** Two heartbeats without a frame: the server or the way to it is dead, though no close came. */
  #watch() {
    if (Date.now() - this.lastLife > 2 * this.heartbeatMs + 1000) this.#lost(1006);
  }

  /** The machine woke, the network changed or the tab came to the front: find out at once how things stand. */
  #wake() {
    if (!this.running || document.visibilityState === 'hidden') return;
    if (this.timers.retry) {
      this.attempt = 0;
      clearTimeout(this.timers.retry);
      this.#connect();
    } else if (this.live && !this.timers.probe) {
      const ws = this.ws;
      // A reply is a frame like any other: what counts is that something came.
      const asked = Date.now();
      this.request('ping').catch(() => {});
      this.timers.probe = setTimeout(() => {
        this.timers.probe = null;
        if (this.ws === ws && this.lastLife < asked) this.#lost(1006);
      }, PROBE_TIMEOUT_MS);
    }
  }
}
