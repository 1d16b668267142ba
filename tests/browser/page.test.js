// The page itself: what it keeps when it is loaded again, what it tells when nobody looks, and what it says when the
// server does not want it.

import assert from 'node:assert/strict';

import { complaints } from './a11y.js';
import { fromDisk } from './person.js';
import { room, stage, until } from './stage.js';

const draftOf = (person, page = person.page) => page.getByLabel('Message', { exact: true }).inputValue();

stage('the page', ({ scenario, arrive, pair, the }) => {
  scenario('what was begun is there after a reload, in each conversation and thread its own', async () => {
    const [first, second] = [room('Letters'), room('Postcards')];
    const ada = await arrive('Ada');
    await ada.createRoom(first);
    await ada.write('Dear all');
    await ada.sees('Dear all');
    await ada.createRoom(second);
    await ada.page.getByLabel('Message', { exact: true }).fill('Wish you were');
    await ada.open(first);
    await ada.act('Dear all', 'Reply');
    await ada.page.getByLabel('Message', { exact: true }).fill('And one more');
    await ada.act('Dear all', 'Reply in thread');
    await ada.page.getByLabel('Reply in thread', { exact: true }).fill('As I said');
    await ada.page.reload();
    await ada.sees('Dear all');
    assert.equal(await draftOf(ada), 'And one more');
    await ada.page.getByText(`Reply to ${ada.name}`).waitFor();
    await ada.act('Dear all', 'Reply in thread');
    assert.equal(await ada.page.getByLabel('Reply in thread', { exact: true }).inputValue(), 'As I said');
    const other = await ada.tab();
    await ada.open(second, other);
    assert.equal(await draftOf(ada, other), 'Wish you were');
    await ada.page.getByLabel('Message', { exact: true }).press('Enter');
    await ada.bubble('And one more').locator('.quote-text', { hasText: 'Dear all' }).waitFor();
    await ada.page.reload();
    await ada.sees('And one more');
    assert.equal(await draftOf(ada), '', 'it was sent');
    // An edit is no draft.
    await ada.act('And one more', 'Edit');
    await ada.page.getByLabel('Message', { exact: true }).fill('changed my mind');
    await ada.page.reload();
    await ada.sees('And one more');
    assert.equal(await draftOf(ada), '');
  });

  scenario('drafts are forgotten with their conversation and at sign-out', async () => {
    const title = room('Secrets');
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    const kept = () =>
      ben.page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('drafts')).length);
    await ada.createRoom(title);
    await ben.joinRoom(title);
    await ben.page.getByLabel('Message', { exact: true }).fill('Nobody knows that');
    assert.equal(await kept(), 1);
    await ben.quiet();
    const id = await ada.page.evaluate(() => location.hash.split('/').pop());
    await ada.call('DELETE', `conversations/${id}/participants/${await ben.userId()}`);
    await ben.row(title).waitFor({ state: 'detached' });
    assert.equal(await kept(), 0);
    await ben.createRoom(room('Mine'));
    await ben.page.getByLabel('Message', { exact: true }).fill('Still mine');
    assert.equal(await kept(), 1);
    await ben.page.getByRole('button', { name: 'Sign out' }).click();
    await ben.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
    await ben.page.getByLabel('Your name').waitFor();
    assert.equal(await kept(), 0);
  });

  scenario(
    'drafts are forgotten when somebody is signed out by the server',
    async () => {
      const ada = await arrive('Ada');
      const kept = () =>
        ada.page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('drafts')).length);
      const begin = async () => {
        await ada.createRoom(room('Mine'));
        await ada.page.getByLabel('Message', { exact: true }).fill('Still mine');
        assert.equal(await kept(), 1);
      };
      await begin();
      await ada.quiet();
      await ada.call('POST', 'auth/logout', {});
      await ada.page.getByText('Your session was ended.').waitFor();
      assert.equal(await kept(), 0);

      await ada.page.getByLabel('Your name').fill(`${ada.name}-again`);
      await ada.page.getByRole('button', { name: 'Start chatting' }).click();
      await ada.connected();
      await begin();
      await ada.page.evaluate(() => {
        const session = JSON.parse(localStorage.getItem('starling.session'));
        Object.assign(session, { expires_at: 1, refresh_token: 'not one' });
        localStorage.setItem('starling.session', JSON.stringify(session));
      });
      await ada.page.reload();
      await ada.page.getByText('Your session has ended. Please sign in again.').waitFor();
      assert.equal(await kept(), 0);
    },
    { expected: /favicon\.ico|status of 401/ },
  );

  scenario('a draft that answers a deleted message answers it no longer, and shows nothing of it', async () => {
    const title = room('Regrets');
    const [ada, ben] = await pair(title);
    await ada.write('I take it back');
    await ada.write('This stays');
    const bar = ben.page.locator('.chat .compose-bar');
    const remove = async (text) => {
      await ada.act(text, 'Delete');
      await ada.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await ben.bubble(text).waitFor({ state: 'detached' });
    };
    await ben.act('This stays', 'Reply');
    await ben.page.getByLabel('Message', { exact: true }).fill('Indeed');
    await ben.page.reload();
    await bar.getByText('This stays').waitFor();
    await bar.getByText(`Reply to ${ada.name}`).waitFor();
    // In sight.
    await remove('This stays');
    await bar.waitFor({ state: 'hidden' });
    assert.equal(await draftOf(ben), 'Indeed');
    // While the page is away; and nothing of it is kept meanwhile.
    await ben.act('I take it back', 'Reply');
    await bar.getByText('I take it back').waitFor();
    const stored = await ben.page.evaluate(() => JSON.stringify({ ...localStorage }));
    assert.ok(stored.includes('Indeed') && !stored.includes('I take it back'));
    await ben.page.goto('about:blank');
    await ada.act('I take it back', 'Delete');
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await ada.bubble('I take it back').waitFor({ state: 'detached' });
    await ben.page.goto(`${ben.url}/`);
    await ben.open(title);
    await until('the text alone is there', async () => (await draftOf(ben)) === 'Indeed' && !(await bar.isVisible()));
    await ben.page.keyboard.press('Enter');
    await ada.sees('Indeed');
    assert.equal(await ada.bubble('Indeed').locator('.quote-text').count(), 0);
  });

  scenario('a page that nobody looks at marks nothing read; coming back to it does', async () => {
    const title = room('Kettle');
    const [ada, ben] = await pair(title);
    await ben.write('Before');
    await ben.bubble('Before').getByLabel('Read', { exact: true }).waitFor();
    await ada.lookAway();
    await ben.write('Tea is ready');
    // It has come, and is on the screen that nobody sees.
    await ada.sees('Tea is ready');
    await until('the count', async () => (await ada.badge(title).textContent()) === '1');
    await ben.bubble('Tea is ready').getByLabel('Delivered', { exact: true }).waitFor();
    await until('the title counts', async () => (await ada.page.title()) === '(1) Starling');
    const me = await ada.userId();
    const id = await ada.page.evaluate(() => location.hash.split('/').pop());
    const { items } = await ben.call('GET', `conversations/${id}/participants`);
    const { read_seq } = items.find(({ user }) => user.id === me);
    const { last_seq } = await ben.call('GET', `conversations/${id}`);
    assert.equal(read_seq, last_seq - 1);
    await ada.lookBack();
    await ben.bubble('Tea is ready').getByLabel('Read', { exact: true }).waitFor();
    await ada.badge(title).waitFor({ state: 'hidden' });
  });

  scenario('a page that the server does not understand says so, and is back after a reload', async () => {
    const ada = await arrive('Ada');
    await ada.context.addInitScript(() => {
      const Real = window.WebSocket;
      window.WebSocket = class extends Real {
        constructor(...args) {
          super(...args);
          window.socket = this;
        }
      };
    });
    await ada.page.reload();
    await ada.connected();
    // Frames of bytes are none of the protocol: 4502.
    await ada.page.evaluate(() => window.socket.send(new Uint8Array([1, 2, 3])));
    const status = ada.page.locator('.status[data-state=stopped]');
    await status.getByText('The server did not understand this page. Reload it.').waitFor();
    assert.deepEqual(await complaints(ada.page), []);
    await ada.shot('stopped');
    await ada.page.getByRole('button', { name: 'Reload' }).click();
    await ada.connected();
    assert.equal(await ada.page.getByRole('button', { name: 'Reload' }).isVisible(), false);
  });

  scenario(
    'a page from an address that the server does not accept says so and does not try again',
    async () => {
      const elsewhere = new URL(the.server.url);
      elsewhere.hostname = 'elsewhere.localhost';
      const context = await the.browser.newContext();
      try {
        await fromDisk(context);
        const page = await context.newPage();
        let sockets = 0;
        page.on('websocket', () => (sockets += 1));
        await page.goto(elsewhere.href);
        await page.getByLabel('Your name').fill('Stranger');
        await page.keyboard.press('Enter');
        const status = page.locator('.status[data-state=stopped]');
        await status.getByText('The server does not accept connections from this address.').waitFor();
        await page.getByRole('button', { name: 'Reload' }).waitFor();
        assert.equal(sockets, 1);
      } finally {
        await context.close();
      }
    },
    { skip: process.env.BASE_URL ? 'the server may accept any address' : false },
  );

  scenario('messages stand under the names of their days', async () => {
    const ada = await arrive('Ada');
    await ada.createRoom(room('Diary'));
    for (const text of ['long ago', 'the other day', 'one day before', 'now']) await ada.write(text);
    await ada.stored('now');
    const day = 24 * 3_600_000;
    const ages = { 'long ago': 400 * day, 'the other day': 3 * day, 'one day before': day };
    await ada.context.route('**/v1/conversations/*/messages?*', async (route) => {
      const answer = await route.fetch();
      const page = await answer.json();
      for (const message of page.items)
        message.created_at = new Date(Date.parse(message.created_at) - (ages[message.content] ?? 0)).toISOString();
      page.items = page.items.filter(({ kind }) => kind === 'text');
      await route.fulfill({ response: answer, json: page });
    });
    await ada.page.reload();
    await ada.sees('now');
    const names = await ada.page.locator('.day').allTextContents();
    // In the words of the browser, not of this process.
    const [old, other] = await ada.page.evaluate(
      (times) => {
        const word = (at, part) => new Date(at).toLocaleDateString([], { [part]: part === 'day' ? 'numeric' : 'long' });
        return times.map((at) => ['weekday', 'day', 'month'].map((part) => word(at, part)));
      },
      [400, 3].map((n) => Date.now() - n * day),
    );
    for (const word of old) assert.ok(names[0].includes(word), `${names[0]} has ${word}`);
    assert.match(names[0], /\d{4}$/, 'of another year');
    for (const word of other) assert.ok(names[1].includes(word), `${names[1]} has ${word}`);
    assert.deepEqual(names.slice(2), ['Yesterday', 'Today']);
    const order = await ada.page.locator('.day, .message .content').allTextContents();
    assert.deepEqual(order.slice(-4), ['Yesterday', 'one day before', 'Today', 'now']);
  });
});
