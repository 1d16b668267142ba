// People chat in real browsers through a real server: what they would notice when it broke.

import assert from 'node:assert/strict';

import { complaints } from './a11y.js';
import { Server } from './server.js';
import { OUTAGE, room, stage, until } from './stage.js';

stage('the web client', ({ scenario, arrive, pair, the }) => {
  scenario('two people find each other in a public room, chat both ways and see what was read', async () => {
    const title = room('Birdwatchers');
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    await ada.shot('empty');
    await ada.createRoom(title, 'Who saw what, and where');
    await ben.joinRoom(title);
    await ada.write('Hello Ben');
    await ben.sees('Hello Ben');
    await ben.write('Hi Ada!');
    await ada.sees('Hi Ada!');
    await ada.bubble('Hello Ben').getByLabel('Read', { exact: true }).waitFor();
    await ada.page.getByText('Public room · 2 members').waitFor();
    await ada.write('two\nlines <b>not bold</b>');
    await ben.sees('two\nlines <b>not bold</b>');
    assert.deepEqual(await ada.texts(), await ben.texts());
  });

  scenario('the unread badge comes while another conversation is open and goes on opening', async () => {
    const [first, second] = [room('Kitchen'), room('Garden')];
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    await ada.createRoom(first);
    await ada.createRoom(second);
    await ben.joinRoom(first);
    await ben.write('Soup is ready');
    await ben.write('Come quickly');
    await until(
      'the badge',
      async () => (await ada.badge(first).textContent()) === '2' || ada.badge(first).textContent(),
    );
    await until(
      'the count in the title',
      async () => (await ada.page.title()) === '(2) Starling' || ada.page.title(),
    );
    await ada.row(first).getByText('Come quickly').waitFor();
    await ada.open(first);
    await ada.sees('Come quickly');
    await ada.badge(first).waitFor({ state: 'hidden' });
    await until('the plain title', async () => (await ada.page.title()) === 'Starling' || ada.page.title());
    const id = await ada.page.evaluate(() => location.hash.split('/').pop());
    const unread = async () => (await ada.call('GET', `conversations/${id}`)).unread_count;
    await until('the marker is on the server', async () => (await unread()) === 0 || unread());
    await ada.open(second);
    await ada.page.reload();
    await ada.connected();
    await ada.row(first).waitFor();
    assert.equal(await ada.badge(first).isVisible(), false);
  });

  scenario('an edit and a deletion travel', async () => {
    const [ada, ben] = await pair(room('Proofreading'));
    await ada.write('Helo wrld');
    await ada.write('Away with this');
    await ben.sees('Away with this');
    await ada.act('Helo wrld', 'Edit');
    await ada.write('Hello world');
    await ben.sees('Hello world');
    await ben.bubble('Hello world').getByText('edited').waitFor();
    await ada.act('Away with this', 'Delete');
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    // Each hears of it by itself: what ↑ edits is the last message that Ada's own page has.
    for (const person of [ada, ben]) await person.sees('Message deleted');
    await ada.page.keyboard.press('ArrowUp');
    await ada.write('Hello, world');
    for (const person of [ada, ben]) await person.sees('Hello, world');
    for (const person of [ada, ben]) assert.deepEqual(await person.texts(), ['Hello, world', 'Message deleted']);
    await ben.bubble('Hello, world').hover();
    await ben.bubble('Hello, world').getByRole('button', { name: 'Message actions' }).click();
    assert.equal(await ben.page.getByRole('menuitem', { name: 'Edit' }).count(), 0, 'others’ messages are theirs');
    await ben.page.keyboard.press('Escape');
  });

  scenario('a second tab shows the same, live, and signing out ends both', async () => {
    const title = room('Two tabs');
    const ada = await arrive('Ada');
    await ada.createRoom(title);
    const other = await ada.tab();
    await ada.connected(other);
    await ada.open(title, other);
    await ada.write('from the first');
    await ada.sees('from the first', other);
    await ada.write('from the second', other);
    await ada.sees('from the second');
    assert.deepEqual(await ada.texts(), await ada.texts(other));
    await ada.page.getByRole('button', { name: 'Sign out' }).click();
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
    for (const page of [ada.page, other]) await page.getByLabel('Your name').waitFor();
  });

  scenario('direct and group conversations: people are picked, added, removed and leave', async () => {
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    const cleo = await arrive('Cleo');
    await ada.page.getByRole('button', { name: 'New', exact: true }).click();
    await ada.page.getByLabel('People', { exact: true }).fill(ben.name);
    await ada.page.getByRole('button', { name: ben.name, exact: false }).click();
    await ada.page.getByRole('heading', { level: 1, name: ben.name }).waitFor();
    await ada.write('Just us two');
    await until(
      'the badge',
      async () => (await ben.badge(ada.name).textContent()) === '1' || ben.badge(ada.name).textContent(),
    );
    await ben.open(ada.name);
    await ben.sees('Just us two');
    await ada.bubble('Just us two').getByLabel('Read', { exact: true }).waitFor();

    await ada.page.getByRole('button', { name: 'New', exact: true }).click();
    await ada.page.getByText('Group', { exact: true }).click();
    await ada.page.getByLabel('Title').fill('Picnic');
    await ada.page.getByLabel('People', { exact: true }).fill(ben.name);
    await ada.page.getByRole('list', { name: 'People found' }).getByRole('button', { name: ben.name }).click();
    await ada.page.getByRole('button', { name: 'Create group' }).click();
    await ben.row('Picnic').waitFor();
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    await ada.page.getByRole('button', { name: 'Add people' }).click();
    await ada.page.getByLabel('People', { exact: true }).fill(cleo.name);
    await ada.page.getByRole('list', { name: 'People found' }).getByRole('button', { name: cleo.name }).click();
    await ada.page.getByRole('button', { name: 'Add', exact: true }).click();
    await cleo.open('Picnic');
    await ada.page.getByText(`You added ${cleo.name}`).last().waitFor();
    await cleo.write('I bring cake');
    await ada.sees('I bring cake');
    await cleo.page.getByRole('button', { name: 'Members', exact: true }).click();
    // Who has left is refused what was asked before.
    await cleo.quiet();
    await cleo.page.getByRole('button', { name: 'Leave' }).click();
    await cleo.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
    await cleo.row('Picnic').waitFor({ state: 'detached' });
    await ada.page.locator('.system', { hasText: `${cleo.name} left` }).waitFor();
    await ada.shot('members');
    await ben.open('Picnic');
    await ben.quiet();
    await ada.page.getByRole('button', { name: `About ${ben.name}` }).click();
    await ada.page.getByRole('menuitem', { name: 'Remove' }).click();
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await ben.page.getByText('You are no longer in Picnic.').waitFor();
    await ben.row('Picnic').waitFor({ state: 'detached' });
    await ada.write('Only me now');
    await ada.sees('Only me now');
  });

  scenario('scrolling back loads the whole history, each message once', async () => {
    const title = room('Archive');
    const ada = await arrive('Ada');
    await ada.createRoom(title);
    const total = 130;
    // By REST, as another program would: more than two pages.
    await ada.page.evaluate(async (n) => {
      const { access_token } = JSON.parse(localStorage.getItem('starling.session'));
      const id = location.hash.split('/').pop();
      for (let i = 1; i <= n; i += 1) {
        const answer = await fetch(`/v1/conversations/${id}/messages`, {
          method: 'POST',
          headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ content: `line ${i}`, client_id: `archive-${i}` }),
        });
        if (!answer.ok) throw new Error(await answer.text());
      }
    }, total);
    await ada.sees(`line ${total}`);
    await ada.page.reload();
    await ada.connected();
    await ada.sees(`line ${total}`);
    const log = ada.page.getByRole('region', { name: 'Messages' });
    await until('the beginning', async () => {
      await log.evaluate((node) => (node.scrollTop = 0));
      return (await ada.bubble('line 1').count()) === 1;
    });
    const wanted = Array.from({ length: total }, (_, i) => `line ${i + 1}`);
    assert.deepEqual(await ada.texts(), wanted);
    await ada.page.getByRole('button', { name: 'Newest messages' }).click();
    await until('the end', async () =>
      log.evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight < 60),
    );
  });

  scenario(
    'a killed server: the page says so, comes back by itself, and nothing is missing or doubled',
    async () => {
      const ada = await arrive('Ada');
      const ben = await arrive('Ben');
      await ada.createRoom('Storm');
      await ben.joinRoom('Storm');
      await ada.write('before');
      await ben.sees('before');
      await the.server.kill();
      for (const person of [ada, ben]) await person.page.locator('.status[data-state=reconnecting]').waitFor();
      await ada.shot('reconnecting');
      await ada.write('typed offline');
      await ada.write('and another');
      await ada.bubble('typed offline').getByLabel('Sending').waitFor();
      await the.server.run();
      for (const person of [ada, ben]) await person.connected();
      await ben.sees('and another');
      await ada
        .bubble('typed offline')
        .getByLabel(/Sent|Read/)
        .waitFor();
      await ben.write('welcome back');
      await ada.sees('welcome back');
      const wanted = ['before', 'typed offline', 'and another', 'welcome back'];
      for (const person of [ada, ben]) assert.deepEqual(await person.texts(), wanted);
      await ben.page.reload();
      await ben.sees('welcome back');
      assert.deepEqual(await ben.texts(), wanted, 'the same after a reload');
    },
    { expected: OUTAGE, skip: process.env.BASE_URL ? 'the server is not ours to kill' : false },
  );

  scenario(
    'a message typed before a reload of the page during an outage is sent once',
    async () => {
      const ada = await arrive('Ada');
      const ben = await arrive('Ben');
      await ada.createRoom('Patience');
      await ben.joinRoom('Patience');
      for (let round = 1; round <= 2; round += 1) {
        await the.server.kill();
        await ada.page.locator('.status[data-state=reconnecting]').waitFor();
        await ada.write(`round ${round}`);
        await the.server.run();
        await ada.page.reload();
        await ben.sees(`round ${round}`);
        await ada
          .bubble(`round ${round}`)
          .getByLabel(/Sent|Read/)
          .waitFor();
      }
      // What was said before the reload comes with the history.
      await ada.sees('round 1');
      for (const person of [ada, ben]) assert.deepEqual(await person.texts(), ['round 1', 'round 2']);
    },
    { expected: OUTAGE, skip: process.env.BASE_URL ? 'the server is not ours to kill' : false },
  );

  scenario(
    'a name that is in use is refused with a sentence',
    async () => {
      const ada = await arrive('Ada');
      const stranger = await arrive('Ben');
      const page = await stranger.tab();
      await stranger.page.getByRole('button', { name: 'Sign out' }).click();
      await stranger.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('Your name').fill(ada.name.toUpperCase());
      await page.keyboard.press('Enter');
      await page.getByRole('alert').getByText('Somebody else has this name').waitFor();
      assert.deepEqual(await complaints(page), []);
      await stranger.shot('sign-in', page);
    },
    { expected: /status of 409/ },
  );

  scenario('two tabs whose tokens end at the same moment both stay signed in', async () => {
    const ada = await arrive('Ada');
    const title = room('Renewal');
    await ada.createRoom(title);
    const other = await ada.tab();
    const tabs = [ada.page, other];
    for (let round = 1; round <= 6; round += 1) {
      // Out of the app, or it would be closed in the middle of a refresh of its own.
      for (const tab of tabs) await tab.goto(`${the.server.url}/favicon.svg`);
      const before = await other.evaluate(() => {
        const session = JSON.parse(localStorage.getItem('starling.session'));
        localStorage.setItem('starling.session', JSON.stringify({ ...session, expires_at: 0 }));
        return session.refresh_token;
      });
      await Promise.all(tabs.map((tab) => tab.goto(the.server.url)));
      for (const tab of tabs) await ada.connected(tab);
      const after = await other.evaluate(() => JSON.parse(localStorage.getItem('starling.session')).refresh_token);
      assert.notEqual(after, before, 'a refresh token works once');
    }
    await ada.open(title);
    await ada.write('still here');
    await ada.open(title, other);
    await ada.sees('still here', other);
  });

  scenario(
    'where guests are not let in, a password or a token opens',
    async () => {
      const closed = await Server.start({ STARLING_GUEST_SIGN_IN: 'false' });
      try {
        const context = await the.browser.newContext();
        const page = await context.newPage();
        await page.goto(closed.url);
        await page.getByLabel('Your name').fill('Ada');
        await page.keyboard.press('Enter');
        await page.getByLabel('Password').fill('correct horse');
        await page.getByLabel('Name', { exact: true }).fill('Ada');
        await page.getByRole('button', { name: 'Create account' }).click();
        await page.locator('.status[data-state=connected]').waitFor();
        const token = await page.evaluate(() => JSON.parse(localStorage.getItem('starling.session')).access_token);
        const elsewhere = await (await the.browser.newContext()).newPage();
        await elsewhere.goto(closed.url);
        await elsewhere.getByRole('button', { name: 'Access token' }).click();
        await elsewhere.getByLabel('Token').fill('nonsense');
        await elsewhere.keyboard.press('Enter');
        await elsewhere.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
        await elsewhere.getByLabel('Token').fill(token);
        await elsewhere.keyboard.press('Enter');
        await elsewhere.locator('.status[data-state=connected]').waitFor();
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.getByRole('button', { name: 'Name and password' }).click();
        await page.getByLabel('Name', { exact: true }).fill('Ada');
        await page.getByLabel('Password').fill('wrong horse');
        await page.keyboard.press('Enter');
        await page.getByRole('alert').getByText('Wrong name or password.').waitFor();
        assert.deepEqual(await complaints(page), []);
        await page.getByLabel('Password').fill('correct horse');
        await page.keyboard.press('Enter');
        await page.locator('.status[data-state=connected]').waitFor();
        // Signing out ended the session of the pasted token as well.
        await elsewhere.getByText(/Your session/).waitFor();
      } finally {
        await closed.stop();
      }
    },
    { skip: process.env.BASE_URL ? 'needs a server of its own' : false },
  );

  scenario('what is shown has names, contrast and room, on a desk and on a phone, light and dark', async () => {
    const title = room('Starlings');
    const ada = await arrive('Nora');
    const ben = await arrive('Theo', { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true });
    await ada.createRoom(room('Quiet corner'));
    await ada.createRoom(title, 'Murmurations over the pier');
    await ben.joinRoom(title);
    const lines = [
      [ada, 'Did you see them over the pier tonight?'],
      [ben, 'Yes! There must have been thousands'],
      [ben, 'I have never seen them that low'],
      [ada, 'They turned all at once, as if one bird had thought it'],
    ];
    for (const [person, text] of lines) {
      await person.page.getByLabel('Message', { exact: true }).fill(text);
      await (person === ben
        ? person.page.getByRole('button', { name: 'Send' }).click()
        : person.page.keyboard.press('Enter'));
      for (const reader of [ada, ben]) await reader.bubble(text.replace(/[?!]/g, '\\$&')).waitFor();
    }
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    await ada.page.locator('.member').nth(1).waitFor();
    assert.deepEqual(await complaints(ada.page), []);
    assert.deepEqual(await complaints(ben.page), []);
    await ada.page.getByRole('button', { name: 'Close members' }).click();
    await ada.page.emulateMedia({ colorScheme: 'light' });
    await ada.shot('chat-light');
    await ada.page.emulateMedia({ colorScheme: 'dark' });
    await ada.shot('chat-dark');
    await ben.shot('phone-chat');
    await ben.page.getByRole('button', { name: 'Back to conversations' }).click();
    await ben.row(title).waitFor();
    assert.deepEqual(await complaints(ben.page), []);
    await ben.shot('phone-list');
    await ben.page.getByRole('button', { name: 'Public rooms' }).click();
    await ben.page.locator('.room').first().waitFor();
    assert.deepEqual(await complaints(ben.page), []);
    await ben.shot('phone-lobby');
    await ada.page.getByRole('button', { name: 'New', exact: true }).click();
    await ada.page.locator('.person').first().waitFor();
    assert.deepEqual(await complaints(ada.page), []);
    await ada.shot('new');
    await ada.page.keyboard.press('Escape');
    await ada.page.getByRole('dialog').waitFor({ state: 'detached' });
  });

  scenario('everything can be done with the keyboard', async () => {
    const title = room('Keys');
    const ada = await arrive('Ada');
    const { page } = ada;
    const reach = async (name) => {
      for (let i = 0; i < 40; i += 1) {
        await page.keyboard.press('Tab');
        const label = await page.evaluate(
          () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent,
        );
        if (label === name) return;
      }
      assert.fail(`Tab never reached ${name}`);
    };
    await reach('New');
    await page.keyboard.press('Enter');
    await page.getByRole('radio', { name: 'One person' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Tab');
    await page.keyboard.type(title);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    await until('the composer has the focus', () =>
      page.evaluate(() => document.activeElement.tagName === 'TEXTAREA'),
    );
    await page.keyboard.type('typed');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('in two lines');
    await page.keyboard.press('Enter');
    await ada.sees('typed\nin two lines');
    await page.getByRole('button', { name: 'Message actions' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).focus();
    await page.keyboard.press('Enter');
    await ada.sees('Message deleted');
  });
});
