// The operators' page, in a browser and against a real node: the token, who is there, a user, an explanation.

import assert from 'node:assert/strict';

import { complaints } from './a11y.js';
import { stage, until } from './stage.js';

const TOKEN = 'token-of-the-operators';
const ENV = {
  STARLING_JWT_SECRET: 'a secret of the tests, 32 bytes or more',
  STARLING_ADMIN_LISTEN: '127.0.0.1:0',
  STARLING_ADMIN_TOKEN: TOKEN,
};

const define = ({ scenario, arrive, the }) => {
  /** The page, opened by somebody who has the token or not. */
  const open = async (person, token) => {
    const page = await person.context.newPage();
    page.on('pageerror', (error) => person.errors.push(String(error.stack ?? error)));
    await page.goto(`${the.server.admin}/admin/`);
    await page.getByLabel('Token of this cluster').fill(token);
    await page.getByRole('button', { name: 'Look' }).click();
    return page;
  };

  /** A call in the name of an app's own user. */
  const call = async (path, body) => {
    const token = the.server.token('--sub', 'office', '--username', 'office');
    const answer = await fetch(`${the.server.url}/v1/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  };

  scenario('nobody without the token sees anything, and it can be forgotten', async () => {
    const ada = await arrive('Ada');
    const page = await open(ada, 'not-the-token-of-these');
    await page.getByRole('alert').getByText('this is not STARLING_ADMIN_TOKEN').waitFor();
    assert.equal(await page.getByRole('heading', { name: 'Nodes' }).isVisible(), false);
    assert.deepEqual(await complaints(page), []);
    await page.getByLabel('Token of this cluster').fill(TOKEN);
    await page.getByRole('button', { name: 'Look' }).click();
    await page.getByRole('heading', { name: 'Nodes' }).waitFor();
    await page.getByRole('button', { name: 'Forget the token' }).click();
    await page.getByRole('button', { name: 'Look' }).waitFor();
    assert.equal(await page.locator('#nodes tr').count(), 0, 'nothing of it stays in the page');
    await page.reload();
    await page.getByRole('button', { name: 'Look' }).waitFor();
  });

  scenario('what was asked for before the token was forgotten shows nothing any more', async () => {
    const ada = await arrive('Ada');
    const page = await ada.context.newPage();
    page.on('pageerror', (error) => ada.errors.push(String(error.stack ?? error)));
    const held = [];
    const hold = (route) => new Promise((go) => held.push(go)).then(() => route.continue());
    await page.route(/\/admin\/v1\/(jobs|orgs|users)/, hold);
    await page.goto(`${the.server.admin}/admin/`);
    await page.getByLabel('Token of this cluster').fill(TOKEN);
    await page.getByRole('button', { name: 'Look' }).click();
    await until('both are asked for', async () => held.length === 2);
    // Only what was answered is shown: the rest of the page is, as after the first look.
    await page.evaluate(() => (document.getElementById('board').hidden = document.getElementById('leave').hidden = false));
    await page.locator('#user').fill(ada.name);
    await page.getByRole('button', { name: 'Find' }).click();
    await until('the user too', async () => held.length === 3);
    await page.getByRole('button', { name: 'Forget the token' }).click();
    const answers = Promise.all(['jobs', 'orgs', 'users'].map((what) => page.waitForResponse(new RegExp(`/admin/v1/${what}`))));
    for (const go of held) go();
    for (const answer of await answers) await answer.finished();
    await new Promise((done) => setTimeout(done, 300));
    for (const place of ['nodes', 'jobs', 'reports', 'found'])
      assert.equal(await page.locator(`#${place} > *`).count(), 0, `${place} is empty`);
    assert.equal(await page.getByRole('alert').filter({ visible: true }).count(), 0);
  });

  scenario('an operator sees the node and a user, is told what became of a message, and ends connections', async () => {
    const ben = await arrive('Ben');
    const { items } = await call(`users?query=${ben.name}`);
    const room = await call('conversations', { kind: 'group', title: 'From the office', participant_ids: [items[0].id] });
    const message = await call(`conversations/${room.id}/messages`, { content: 'Tea is ready', client_id: 'tea' });
    await ben.row('From the office').waitFor();
    const page = await open(ben, TOKEN);
    const board = page.locator('#nodes');
    await board.getByText('ready', { exact: true }).waitFor();
    await board.getByText(new URL(the.server.url).host).waitFor();

    await page.locator('#user').fill(ben.name);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.locator('#found').getByText('websocket').waitFor();

    await page.locator('#trace-user').fill(ben.name);
    await page.locator('#trace-message').fill(message.id);
    await page.getByRole('button', { name: 'Explain' }).click();
    const verdict = page.locator('.verdict code');
    await verdict.waitFor();
    assert.match(await verdict.textContent(), /^(written|delivered|read)$/);
    await page.locator('#trace-message').fill('not an id');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.locator('#explained').getByText('message is not an id').waitFor();
    assert.deepEqual(await complaints(page), []);
    await ben.shot('operators', page);

    page.on('dialog', (dialog) => dialog.accept());
    const ids = page.locator('#found td.id');
    const before = await ids.first().textContent();
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await until('the client is back with another connection', async () => {
      await page.getByRole('button', { name: 'Find' }).click();
      const [now] = await ids.allTextContents();
      return now !== undefined && now !== before;
    });
    await ben.connected();
  });
};

stage('what operators see and do', define, ENV);
