// Starts and stops the real binary on its own data directory and a free port. Set BASE_URL to test a server that
// runs already; then nothing is started, and tests that kill the server are skipped.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(fileURLToPath(import.meta.url), '../../..');
export const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
const BIN = process.env.STARLING_BIN ?? join(TARGET, 'debug/starling');
const START_MS = 20_000;

/** Servers that run: none may outlive the tests, however those end. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export class Server {
  /** A server with an empty data directory; `env` are more of its variables. */
  static async start(env = {}) {
    const server = new Server();
    server.env = env;
    if (process.env.BASE_URL) {
      server.url = process.env.BASE_URL.replace(/\/$/, '');
      return server;
    }
    server.dir = await mkdtemp(join(tmpdir(), 'starling-browser-'));
    server.listen = '127.0.0.1:0';
    try {
      await server.run();
    } catch (error) {
      await server.stop();
      throw error;
    }
    // A restart comes back where browsers expect it.
    server.listen = new URL(server.url).host;
    return server;
  }

  get ours() {
    return Boolean(this.dir);
  }

  /** Runs the binary; resolves once it says that it listens. */
  async run() {
    const child = spawn(BIN, ['serve'], {
      env: {
        PATH: process.env.PATH,
        HOME: this.dir,
        STARLING_LISTEN: this.listen,
        STARLING_ADMIN_LISTEN: '',
        STARLING_DATA_DIR: join(this.dir, 'data'),
        STARLING_LOG: process.env.STARLING_LOG ?? 'warn',
        ...this.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    running.add(child);
    this.ended = new Promise((done) => child.once('close', done)).then(() => running.delete(child));
    this.log = '';
    child.stderr.on('data', (data) => (this.log = (this.log + data).slice(-8000)));
    this.url = await new Promise((found, failed) => {
      let out = '';
      const fail = (why) => failed(new Error(`${BIN} ${why}\nstdout: ${out}\nstderr: ${this.log}`));
      const timer = setTimeout(() => fail(`did not listen within ${START_MS} ms`), START_MS);
      child.once('error', (error) => fail(error.message));
      child.once('close', (code) => fail(`ended with ${code}`));
      child.stdout.on('data', (data) => {
        out += data;
        const line = /^listening on (http:\S+)\n/m.exec(out);
        const admin = /^admin on (http:\S+)\n/m.exec(out);
        if (!line || (this.env.STARLING_ADMIN_LISTEN && !admin)) return;
        clearTimeout(timer);
        this.admin = admin?.[1];
        found(line[1]);
      });
    });
  }

  /** An access token as another system would sign it with the server's `STARLING_JWT_SECRET`. */
  token(...args) {
    return execFileSync(BIN, ['token', ...args], { env: { PATH: process.env.PATH, HOME: this.dir, ...this.env } })
      .toString()
      .trim();
  }

  /** As a crash would: no chance to say goodbye. */
  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** Ends it and removes its data. */
  async stop() {
    if (!this.ours) return;
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      const late = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
      await this.ended;
      clearTimeout(late);
    }
    await rm(this.dir, { recursive: true, force: true });
  }
}
