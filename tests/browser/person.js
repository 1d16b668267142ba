// A person at a browser: one context with its own storage, pages in it, and the few things people do.

import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { chromium } from 'playwright-core';

import { TARGET } from './server.js';
import { until } from './until.js';

/** What the tick of a message of one's own says once the server has it. */
export const STORED = /^(Sent|Delivered|Read.*)$/;

const WAIT_MS = 15_000;
const SCREENSHOTS = join(TARGET, 'browser-screenshots');
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const DESKTOP = { width: 1200, height: 760 };

export async function launch() {
  await mkdir(SCREENSHOTS, { recursive: true });
  // The flags name the new headless mode themselves.
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    ignoreDefaultArgs: ['--headless', '--headless=old'],
    env: { ...process.env, LANG: 'en_GB.UTF-8' },
  });
}

const used = new Map();

/** `Ada` once, then `Ada2`, …; with a running server's people in mind, something nobody has. */
function freeName(name) {
  const n = (used.get(name) ?? 0) + 1;
  used.set(name, n);
  if (process.env.BASE_URL) return `${name}-${Date.now().toString(36)}${n}`;
  return n === 1 ? name : `${name}${n}`;
}

/**
 * Where WEB_DIR names a folder: scripts and styles as they are there instead of those in the binary, so that a change
 * needs no build; those of the operators' page are in the folder `admin` beside it. Not the pages themselves: to a
 * browser they would come from nowhere, and might not open sockets to this machine.
 */
export async function fromDisk(context) {
  if (!process.env.WEB_DIR) return;
  const dir = resolve(process.env.WEB_DIR);
  const files = ({ pathname }) => /^\/(admin\/)?[\w-]+\.(js|css)$/.test(pathname);
  await context.route(files, (route) => {
    const { pathname } = new URL(route.request().url());
    return route.fulfill({ path: pathname.startsWith('/admin/') ? join(dir, '..', pathname) : join(dir, pathname) });
  });
}

export class Person {
  /** Opens the page and signs in with a name. */
  static async arrive(browser, url, name, options = {}) {
    const person = new Person();
    person.name = freeName(name);
    person.url = url;
    person.errors = [];
    person.asking = new Set();
    person.context = await browser.newContext({ viewport: DESKTOP, locale: 'en-GB', ...options });
    person.context.setDefaultTimeout(WAIT_MS);
    await fromDisk(person.context);
    person.page = await person.tab();
    await person.page.getByLabel('Your name').fill(person.name);
    await person.page.getByRole('button', { name: 'Start chatting' }).click();
    await person.connected();
    return person;
  }

  /** Another tab of the same browser, at an address of the page; what goes wrong in it is collected. */
  async tab(path = '') {
    const page = await this.context.newPage();
    page.on(
      'console',
      (message) => message.type() === 'error' && this.errors.push(`${message.text()} ${message.location().url}`),
    );
    page.on('pageerror', (error) => this.errors.push(String(error.stack ?? error)));
    page.on('request', (request) => this.asking.add(request));
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => this.asking.delete(request));
    await page.goto(`${this.url}${path}`);
    return page;
  }

  /** Waits until nothing is asked of REST: what is refused once one lost a right was asked for before. */
  quiet() {
    return until('all answers', () => this.asking.size === 0 || [...this.asking].map((request) => request.url()));
  }

  connected(page = this.page) {
    return page.locator('.status[data-state=connected]').waitFor();
  }

  row(title, page = this.page) {
    return page.getByRole('navigation', { name: 'Conversations' }).getByRole('link').filter({ hasText: title });
  }

  badge(title, page = this.page) {
    return this.row(title, page).locator('.badge.unread');
  }

  async open(title, page = this.page) {
    await this.row(title, page).click();
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
  }

  async write(text, page = this.page) {
    await page.getByLabel('Message', { exact: true }).fill(text);
    await page.keyboard.press('Enter');
  }

  /** The bubble that says exactly this. */
  bubble(text, page = this.page) {
    return page.locator('.message').filter({ has: page.locator('.content', { hasText: new RegExp(`^${text}$`) }) });
  }

  /** Waits until the open conversation shows this. */
  sees(text, page = this.page) {
    return this.bubble(text, page).first().waitFor();
  }

  /** Waits until a message of one's own is on the server: one sees it earlier. Those before it are too. */
  stored(text, page = this.page) {
    return this.bubble(text, page).getByLabel(STORED).waitFor();
  }

  async createRoom(title, description = '') {
    await this.page.getByRole('button', { name: 'New', exact: true }).click();
    await this.page.getByText('Public room', { exact: true }).click();
    await this.page.getByLabel('Title').fill(title);
    await this.page.getByLabel('What is it about?').fill(description);
    await this.page.getByRole('button', { name: 'Create public room' }).click();
    await this.page.getByRole('heading', { level: 1, name: title }).waitFor();
  }

  async joinRoom(title) {
    await this.page.getByRole('button', { name: 'Public rooms' }).click();
    await this.page.getByLabel('Search public rooms').fill(title);
    await this.page.getByRole('button', { name: `Join ${title}` }).click();
    await this.page.getByRole('heading', { level: 1, name: title }).waitFor();
  }

  async act(text, action) {
    await this.bubble(text).hover();
    await this.bubble(text).getByRole('button', { name: 'Message actions' }).click();
    await this.page.getByRole('menuitem', { name: action, exact: true }).click();
  }

  async react(text, emoji) {
    await this.bubble(text).hover();
    await this.bubble(text).getByRole('button', { name: 'React' }).click();
    await this.page.getByRole('menuitem', { name: emoji, exact: true }).click();
  }

  /** Calls REST as this person, as another program of theirs would; an answer that is no success is an error. */
  call(method, path, body, page = this.page) {
    return page.evaluate(
      async ([method, path, body]) => {
        const { access_token } = JSON.parse(localStorage.getItem('starling.session'));
        const answer = await fetch(`/v1/${path}`, {
          method,
          headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
          body: body === undefined ? undefined : JSON.stringify(body),
        });
        const text = await answer.text();
        if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
        return text ? JSON.parse(text) : null;
      },
      [method, path, body],
    );
  }

  async userId() {
    return (await this.call('GET', 'me')).id;
  }

  /** Another tab is in front, or another window: a headless browser shows all its pages at once, so it is told so. */
  lookAway(page = this.page) {
    return page.evaluate(() => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
      document.hasFocus = () => false;
      document.dispatchEvent(new Event('visibilitychange'));
      window.dispatchEvent(new Event('blur'));
    });
  }

  /** Back at this page. */
  lookBack(page = this.page) {
    return page.evaluate(() => {
      delete document.visibilityState;
      delete document.hasFocus;
      document.dispatchEvent(new Event('visibilitychange'));
      window.dispatchEvent(new Event('focus'));
    });
  }

  /** All texts of the open conversation, in order. */
  texts(page = this.page) {
    return page.locator('.chat .message .content').allTextContents();
  }

  /** Into `target/browser-screenshots`, for people to look at. */
  async shot(name, page = this.page) {
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), animations: 'disabled' });
  }

  async leave() {
    await this.context.close();
  }
}
