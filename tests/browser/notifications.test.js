// The bell, notifications of the desktop, and what people say of themselves, between real browsers.

import assert from 'node:assert/strict';

import { complaints } from './a11y.js';
import { room, stage, until } from './stage.js';

const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">
  <rect width="64" height="64" fill="#f5d7b0"/><circle cx="32" cy="26" r="12" fill="#7a4a2b"/><path d="M8 64c2-30 46-30 48 0z" fill="#2f5d50"/></svg>`;

/** A desktop that keeps what it was asked to show, and whose user says yes. */
const desktop = (person) =>
  person.context.addInitScript(() => {
    window.asked = 0;
    window.shown = [];
    window.Notification = class {
      static permission = 'default';
      static async requestPermission() {
        window.asked += 1;
        return (this.permission = 'granted');
      }
      constructor(title, { body, tag }) {
        window.shown.push({ title, body, tag });
        window.newest = this;
      }
      close() {}
    };
  });

const shown = (person) => person.page.evaluate(() => window.shown.map(({ title, body }) => `${title}: ${body}`));
const id = (person) => person.page.evaluate(() => location.hash.split('/').pop());
/** What a tab shows, it has shown by then: it asks the other tabs first. */
const soon = () => new Promise((done) => setTimeout(done, 300));
const mention = (person) => `@${person.name.toLowerCase()}`;

stage('what people are told of', ({ scenario, arrive, pair }) => {
  /** Two in a room; the first one's desktop says yes. */
  const watched = async (title) => {
    const [ada, ben] = await pair(title);
    await desktop(ada);
    await ada.page.reload();
    await ada.connected();
    return [ada, ben];
  };
  const bell = (person, name) => person.page.getByRole('button', { name, exact: true });
  const panel = (person) => person.page.getByRole('complementary', { name: 'Notifications' });

  /** Ada takes part in Ben's room and never had it open: of what is on a screen no notifications are made. */
  const apart = async (title) => {
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    await ben.createRoom(title);
    const where = await id(ben);
    await ada.call('POST', `conversations/${where}/join`);
    await ada.row(title).waitFor();
    return [ada, ben, where];
  };

  scenario('the bell counts live, its list leads to each message, and one is read or all are', async () => {
    const title = room('Committee');
    const [ada, ben, room1] = await apart(title);
    await bell(ada, 'Notifications').waitFor();
    const say = (content, more) => ben.call('POST', `conversations/${room1}/messages`, { content, ...more });
    await say(`First, ${mention(ada)}`);
    await bell(ada, 'Notifications, 1 unread').waitFor();
    for (let i = 1; i <= 70; i += 1) await say(`line ${i}`);
    await say(`Second, ${mention(ada)}`);
    await say(`Third, ${mention(ada)}`);
    await bell(ada, 'Notifications, 3 unread').click();
    const list = panel(ada).getByRole('list', { name: 'Notifications' });
    const entry = (text) => list.getByRole('listitem').filter({ hasText: text });
    await entry('Third').getByText(`${ben.name} mentioned you in ${title}`).waitFor();
    assert.equal(await list.getByRole('listitem').count(), 3);
    assert.match(await list.getByRole('listitem').first().textContent(), /Third/);
    assert.deepEqual(await complaints(ada.page), []);
    await ada.shot('notifications');

    await entry('Second').getByRole('button', { name: 'Mark read' }).click();
    await bell(ada, 'Notifications, 2 unread').waitFor();
    assert.equal(await entry('Second').getByRole('button', { name: 'Mark read' }).count(), 0);
    assert.equal(
      await ada.page.evaluate(() => document.activeElement.closest('.notice')?.textContent.includes('Second')),
      true,
    );

    // Far above the newest messages: the link leads to the very one.
    await entry('First').getByRole('link').click();
    await ada.page.locator('.message.flash', { hasText: 'First, ' }).waitFor();
    await ada.page.getByRole('heading', { level: 1, name: title }).waitFor();
    await bell(ada, 'Notifications, 1 unread').waitFor();
    assert.match(await ada.page.evaluate(() => location.hash), new RegExp(`^#/c/${room1}$`));

    // What is read on another device is read here.
    const other = await ada.tab();
    await ada.connected(other);
    await other.getByRole('button', { name: 'Notifications, 1 unread', exact: true }).click();
    await other.getByRole('button', { name: 'Mark all read' }).click();
    await bell(ada, 'Notifications').waitFor();
    await panel(ada).locator('.unread-notice').waitFor({ state: 'detached' });
    await ada.page.reload();
    await ada.connected();
    await bell(ada, 'Notifications').waitFor();
    const { unread_count } = await ada.call('GET', 'notifications');
    assert.equal(unread_count, 0);
  });

  scenario(
    'a link to a message opens it in a new tab; reading a conversation reads what it notified of',
    async () => {
      const [ada, ben, where] = await apart(room('Workshop'));
      const { id: message } = await ben.call('POST', `conversations/${where}/messages`, {
        content: `Saw, ${mention(ada)}?`,
      });
      await bell(ada, 'Notifications, 1 unread').waitFor();
      const tab = await ada.tab(`/#/c/${where}/m/${message}`);
      await tab.locator('.message.flash', { hasText: 'Saw, ' }).waitFor();
      await bell(ada, 'Notifications').waitFor();
      const gone = await ada.tab(`/#/c/${where}/m/01900000-0000-7000-8000-000000000000`);
      await gone.getByText('This message is not there any more.').waitFor();
    },
    { expected: /favicon\.ico|status of 404/ },
  );

  scenario('who was added to a group finds it behind the bell', async () => {
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    const title = room('Choir');
    const { id: group } = await ada.call('POST', 'conversations', { kind: 'group', title });
    await ada.call('POST', `conversations/${group}/participants`, { user_ids: [await ben.userId()] });
    await bell(ben, 'Notifications, 1 unread').click();
    await panel(ben)
      .getByRole('link', { name: `${ada.name} added you to ${title}` })
      .click();
    await ben.page.getByRole('heading', { level: 1, name: title }).waitFor();
    await bell(ben, 'Notifications').waitFor();
  });

  scenario('the desktop is asked for by a button alone, and told of what is wanted while nobody looks', async () => {
    const title = room('Watch');
    const [ada, ben] = await watched(title);
    await ben.write('Before anybody asked');
    await ada.sees('Before anybody asked');
    assert.equal(await ada.page.evaluate(() => window.asked), 0, 'not on load');
    await bell(ada, 'Notifications').click();
    await ada.page.getByRole('button', { name: 'Turn on desktop notifications' }).click();
    await ada.page.getByRole('button', { name: 'Turn off desktop notifications' }).waitFor();
    assert.equal(await ada.page.evaluate(() => window.asked), 1);
    await ben.write('In sight');
    await ada.sees('In sight');
    assert.deepEqual(await shown(ada), [], 'she looks at it');

    await ada.lookAway();
    await ben.write('Out of sight');
    await until('a notification', async () => (await shown(ada)).length === 1 || shown(ada));
    assert.deepEqual(await shown(ada), [`${ben.name} in ${title}: Out of sight`]);
    // The server hears a moment later that nobody looks: until then it makes none of what is on the screen.
    await until('the stored one', async () => {
      await ben.write(`${mention(ada)} look`);
      await ada.sees(`@${ada.name} look`);
      return (await shown(ada)).some((text) => text.startsWith(`${ben.name} mentioned you in ${title}`)) || shown(ada);
    });
    assert.equal(
      (await shown(ada)).filter((text) => text.includes(`${ben.name} in ${title}: @`)).length,
      0,
      'once each',
    );

    // What is muted is not told of.
    await ada.call('PATCH', `conversations/${await id(ada)}/preferences`, { muted_until: '2099-01-01T00:00:00.000Z' });
    await ada.row(title).getByLabel('Muted').waitFor();
    await ben.write('Small talk');
    await ada.page.locator('.message', { hasText: 'Small talk' }).waitFor();
    await soon();
    assert.equal((await shown(ada)).filter((text) => text.includes('Small talk')).length, 0);

    await ada.page.evaluate(() => window.newest.onclick());
    await ada.page.locator('.message.flash', { hasText: `@${ada.name} look` }).waitFor();
    await ada.lookBack();
  });

  scenario('of several tabs one shows it, and none while one is in sight', async () => {
    const title = room('Windows');
    const [ada, ben] = await watched(title);
    await bell(ada, 'Notifications').click();
    await ada.page.getByRole('button', { name: 'Turn on desktop notifications' }).click();
    const tabs = [ada.page, await ada.tab(), await ada.tab()];
    for (const tab of tabs.slice(1)) {
      await ada.connected(tab);
      await tab.evaluate(() => (Notification.permission = 'granted'));
    }
    const all = async () => {
      const each = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.shown.map(({ body }) => body))));
      return each.flat();
    };
    const comes = async (text) => {
      await ben.write(text);
      for (const tab of tabs) await ada.row(title, tab).getByText(text).waitFor();
      await soon();
    };
    await ada.lookAway(tabs[0]);
    await ada.lookAway(tabs[1]);
    await comes('One of them is seen');
    assert.deepEqual(await all(), []);
    await ada.lookAway(tabs[2]);
    await comes('None of them is');
    await until('one shows it', async () => (await all()).length > 0);
    await soon();
    assert.deepEqual(await all(), ['None of them is']);
    await ada.lookBack(tabs[1]);
    await comes('Another one is seen');
    assert.deepEqual(await all(), ['None of them is']);
    // The one in sight is closed: nobody has to say so.
    await tabs.splice(1, 1)[0].close();
    const locks = () => tabs[0].evaluate(async () => (await navigator.locks.query()).held.map(({ name }) => name));
    await until('its lock is gone', async () => !(await locks()).some((name) => name.endsWith('.in-sight')));
    await comes('Gone with its tab');
    await until('one shows it', async () => (await all()).includes('Gone with its tab'));
    await soon();
    assert.deepEqual((await all()).filter((body) => body !== 'None of them is'), ['Gone with its tab']);
  });

  scenario(
    'a list that did not come is asked for again when one looks at it',
    async () => {
      const [ada, ben, where] = await apart(room('Archive'));
      await ben.call('POST', `conversations/${where}/messages`, { content: `Later, ${mention(ada)}` });
      await bell(ada, 'Notifications, 1 unread').waitFor();
      let asked = 0;
      const away = (route) => {
        asked += 1;
        return route.fulfill({ status: 503, json: { code: 'unavailable', title: 'Not now' } });
      };
      await ada.context.route('**/v1/notifications?*', away);
      await ada.page.reload();
      await ada.connected();
      await until('it was asked for', async () => asked >= 1);
      await bell(ada, 'Notifications').click();
      await panel(ada).getByText('The notifications could not be loaded.').waitFor();
      await ada.context.unroute('**/v1/notifications?*', away);
      await bell(ada, 'Notifications').click();
      await bell(ada, 'Notifications').click();
      await panel(ada).getByText('Later, ').waitFor();
      await bell(ada, 'Notifications, 1 unread').waitFor();
    },
    { expected: /favicon\.ico|status of 503/ },
  );

  scenario(
    'a name, a picture and a status are changed and seen by all at once',
    async () => {
      const title = room('Portraits');
      const [ada, ben] = await pair(title);
      for (const person of [ada, ben])
        await person.context.route('https://files.example/**', (route) =>
          route.request().url().includes('missing')
            ? route.fulfill({ status: 404, body: '' })
            : route.fulfill({ contentType: 'image/svg+xml', body: PICTURE }),
        );
      await ada.write('Good morning');
      await ben.sees('Good morning');
      await ben.page.getByRole('button', { name: 'Members', exact: true }).click();
      const profile = async (fields) => {
        await ada.page.getByRole('button', { name: 'Your profile' }).click();
        const dialog = ada.page.getByRole('dialog', { name: 'Your profile' });
        for (const [label, value] of Object.entries(fields)) await dialog.getByLabel(label).fill(value);
        return dialog;
      };
      const name = `${ada.name} Lovelace`;
      let dialog = await profile({
        Name: name,
        'Status (optional)': 'At the engine',
        'Address of a picture (optional)': 'https://files.example/ada.png',
      });
      assert.deepEqual(await complaints(ada.page), []);
      await ada.shot('profile');
      await dialog.getByRole('button', { name: 'Save' }).click();
      await dialog.waitFor({ state: 'detached' });
      await ada.page.locator('.sidebar .me', { hasText: name }).waitFor();
      await ada.page.locator('.sidebar .avatar img.here').first().waitFor();
      await ben.bubble('Good morning').getByText(name, { exact: true }).waitFor();
      await ben.page.locator('.message .avatar img.here').waitFor();
      await ben.page.locator('.member', { hasText: name }).getByText('online · At the engine').waitFor();
      await ben.page.locator('.member', { hasText: name }).locator('img.here').waitFor();
      assert.deepEqual(await complaints(ben.page), []);
      await ben.shot('pictures');
      await ada.page.reload();
      await ada.connected();
      await ada.page.locator('.sidebar .me', { hasText: name }).waitFor();

      // A picture that does not come: the letters are there. An address that is none: refused with a sentence.
      dialog = await profile({ 'Address of a picture (optional)': 'https://files.example/missing.png' });
      await dialog.getByRole('button', { name: 'Save' }).click();
      await dialog.waitFor({ state: 'detached' });
      const mine = ben.page.locator('.message .avatar');
      await ben.page.locator('.message .avatar img').waitFor({ state: 'detached' });
      assert.equal(await mine.textContent(), 'AL');
      dialog = await profile({ 'Address of a picture (optional)': 'ftp://files.example/x.png' });
      await dialog.getByRole('button', { name: 'Save' }).click();
      await dialog
        .getByRole('alert')
        .filter({ hasText: /avatar_url/ })
        .waitFor();
      await dialog.getByLabel('Address of a picture (optional)').fill('');
      await dialog.getByLabel('Status (optional)').fill('');
      await dialog.getByRole('button', { name: 'Save' }).click();
      await dialog.waitFor({ state: 'detached' });
      const { avatar_url, status_text, display_name } = await ada.call('GET', 'me');
      assert.deepEqual(
        { avatar_url, status_text, display_name },
        { avatar_url: null, status_text: null, display_name: name },
      );
    },
    { expected: /favicon\.ico|status of (404|400)/ },
  );
});
