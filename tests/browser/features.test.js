// Reactions, replies, threads, typing, presence, receipts, mentions, search, pins and settings between real browsers.

import assert from 'node:assert/strict';

import { complaints } from './a11y.js';
import { STORED } from './person.js';
import { room, stage, until } from './stage.js';

const SECRET = { STARLING_JWT_SECRET: 'a secret of the browser tests, long enough' };

const define = ({ scenario, arrive, pair, the }) => {
  const direct = async (from, to) => {
    await from.page.getByRole('button', { name: 'New', exact: true }).click();
    await from.page.getByLabel('People', { exact: true }).fill(to.name);
    await from.page.getByRole('button', { name: to.name, exact: false }).click();
    await from.page.getByRole('heading', { level: 1, name: to.name }).waitFor();
  };

  scenario('reactions come, are counted, are mine or not, and go', async () => {
    const [ada, ben] = await pair(room('Reactions'));
    await ada.write('Shall we?');
    await ben.sees('Shall we\\?');
    await ben.react('Shall we\\?', '👍');
    const chip = (person, label) => person.bubble('Shall we\\?').getByRole('button', { name: label, exact: true });
    await chip(ada, '👍 1').waitFor();
    assert.equal(await chip(ada, '👍 1').getAttribute('aria-pressed'), 'false');
    // Who somebody is that never wrote here, the list of people says.
    const who = () => chip(ada, '👍 1').getAttribute('title');
    await until('the name of who reacted', async () => (await who()) === ben.name || who());
    await chip(ada, '👍 1').click();
    for (const person of [ada, ben]) await chip(person, '👍 2').waitFor();
    assert.equal(await chip(ada, '👍 2').getAttribute('aria-pressed'), 'true');
    await ben.page.reload();
    await chip(ben, '👍 2').waitFor();
    assert.equal(await chip(ben, '👍 2').getAttribute('aria-pressed'), 'true', 'the server knows whose it is');
    await chip(ben, '👍 2').click();
    await chip(ada, '👍 1').waitFor();
    await chip(ada, '👍 1').click();
    for (const person of [ada, ben]) await person.page.locator('.reaction').waitFor({ state: 'detached' });
  });

  scenario('a reply quotes, leads to the original, and follows its edit', async () => {
    const [ada, ben] = await pair(room('Replies'));
    await ada.write('When does it strt');
    await ben.sees('When does it strt');
    await ben.act('When does it strt', 'Reply');
    await ben.page.getByText(`Reply to ${ada.name}`).waitFor();
    await ben.write('At eight');
    await ada.bubble('At eight').locator('.quote-text', { hasText: 'When does it strt' }).waitFor();
    await ada.act('When does it strt', 'Edit');
    await ada.write('When does it start');
    for (const person of [ada, ben])
      await person.bubble('At eight').locator('.quote-text', { hasText: 'When does it start' }).waitFor();
    await ben.bubble('At eight').getByRole('button', { name: /^In reply to/ }).click();
    await ben.page.locator('.message.flash .content', { hasText: 'When does it start' }).waitFor();
    await ben.bubble('When does it start').getByRole('button', { name: 'edited' }).click();
    await ben.page.getByRole('dialog').getByText('When does it strt').waitFor();
  });

  scenario('a thread counts its replies, and both talk in it', async () => {
    const [ada, ben] = await pair(room('Threads'));
    await ada.write('Who brings what?');
    await ben.sees('Who brings what\\?');
    await ben.act('Who brings what\\?', 'Reply in thread');
    await ben.page.getByLabel('Reply in thread', { exact: true }).fill('I bring bread');
    await ben.page.keyboard.press('Enter');
    await ada.bubble('Who brings what\\?').getByRole('button', { name: '1 reply' }).click();
    const thread = ada.page.getByRole('complementary', { name: 'Thread' });
    await thread.getByText('I bring bread').waitFor();
    await ada.page.getByLabel('Reply in thread', { exact: true }).fill('And I cheese');
    await ada.page.keyboard.press('Enter');
    await ben.page.getByRole('complementary', { name: 'Thread' }).getByText('And I cheese').waitFor();
    for (const person of [ada, ben])
      await person.bubble('Who brings what\\?').first().getByRole('button', { name: '2 replies' }).waitFor();
    assert.deepEqual(await complaints(ada.page), []);
    await ada.shot('thread');
    await ada.page.reload();
    await ada.bubble('Who brings what\\?').getByRole('button', { name: '2 replies' }).waitFor();
  });

  scenario('one sees who types, who is there, and how far a message got', async () => {
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    await direct(ada, ben);
    await ada.write('Are you there?');
    await ben.row(ada.name).waitFor();
    await ada.bubble('Are you there\\?').getByLabel('Delivered', { exact: true }).waitFor();
    const head = ada.page.locator('.chat .bar p');
    await head.getByText('online').waitFor();
    await ben.open(ada.name);
    await ada.bubble('Are you there\\?').getByLabel('Read', { exact: true }).waitFor();
    await ben.page.getByLabel('Message', { exact: true }).pressSequentially('Yes');
    await ada.page.locator('.chat .typing', { hasText: 'typing…' }).waitFor();
    await ben.page.keyboard.press('Enter');
    await ada.sees('Yes');
    await until('the end of typing', async () => (await ada.page.locator('.chat .typing').textContent()) === '');
    await ada.act('Are you there\\?', 'Who read this');
    await ada.page.getByRole('dialog').getByText('Read by 1 of 1').waitFor();
    await ada.page.keyboard.press('Escape');
    await ben.page.close();
    await head.getByText(/last seen/).waitFor();
  });

  scenario('a mention is offered while typing, stands out and counts apart', async () => {
    const [first, second] = [room('Mentions'), room('Elsewhere')];
    const [ada, ben] = await pair(first);
    await ada.createRoom(second);
    const begun = `Look @${ada.name.slice(0, 2).toLowerCase()}`;
    await ben.page.getByLabel('Message', { exact: true }).pressSequentially(begun);
    await ben.page.getByRole('option', { name: ada.name }).first().waitFor();
    await ben.page.keyboard.press('Tab');
    await ben.page.keyboard.type('here');
    await ben.page.keyboard.press('Enter');
    await ada.row(first).getByLabel('1 mention', { exact: true }).waitFor();
    await ada.open(first);
    await ada.page.locator('.mention.mine', { hasText: `@${ada.name}` }).waitFor();
    await ada.row(first).getByLabel('1 mention', { exact: true }).waitFor({ state: 'hidden' });
  });

  scenario('search finds a message far above and leads to it; the newest are one click away', async () => {
    const title = room('Long talk');
    const [ada, ben] = await pair(title);
    await ada.page.evaluate(async () => {
      const { access_token } = JSON.parse(localStorage.getItem('starling.session'));
      const id = location.hash.split('/').pop();
      for (let i = 1; i <= 170; i += 1) {
        const content = i === 20 ? 'the kingfisher was at the weir' : `line ${i}`;
        const answer = await fetch(`/v1/conversations/${id}/messages`, {
          method: 'POST',
          headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ content, client_id: `talk-${i}` }),
        });
        if (!answer.ok) throw new Error(await answer.text());
      }
    });
    await ben.page.reload();
    await ben.sees('line 170');
    await ben.page.getByRole('button', { name: 'Search', exact: true }).click();
    await ben.page.getByLabel('Search messages').fill('kingf');
    await ben.page.locator('mark', { hasText: 'kingfisher' }).click();
    await ben.page.locator('.message.flash', { hasText: 'kingfisher' }).waitFor();
    await ben.shot('search');
    assert.deepEqual(await complaints(ben.page), []);
    // A thread goes on beside what is shown, which does not reach to the newest messages.
    await ben.act('the kingfisher was at the weir', 'Reply in thread');
    await ben.page.getByLabel('Reply in thread', { exact: true }).fill('That was in May');
    await ben.page.keyboard.press('Enter');
    const thread = ben.page.getByRole('complementary', { name: 'Thread' });
    await thread.locator('.message', { hasText: 'That was in May' }).getByLabel(STORED).waitFor();
    const root = ben.page.locator('.chat .message', { hasText: 'kingfisher' });
    await root.getByRole('button', { name: '1 reply' }).waitFor();
    await ben.page.getByRole('button', { name: 'Search', exact: true }).click();
    await ada.write('meanwhile');
    await ada.sees('meanwhile');
    assert.equal(await ben.bubble('meanwhile').count(), 0, 'it does not belong below what is shown');
    const log = ben.page.getByRole('region', { name: 'Messages' });
    await until('the end, scrolling down', async () => {
      await log.evaluate((node) => (node.scrollTop = node.scrollHeight));
      return (await ben.bubble('meanwhile').count()) === 1;
    });
    await ben.page.locator('mark', { hasText: 'kingfisher' }).click();
    await ben.page.locator('.message.flash', { hasText: 'kingfisher' }).waitFor();
    const texts = await ben.texts();
    assert.equal(new Set(texts).size, texts.length, 'each message once');
    await ben.page.getByRole('button', { name: 'Newest messages' }).click();
    await ben.bubble('meanwhile').waitFor();
  });

  scenario('pins, mute, archive and roles', async () => {
    const title = room('House rules');
    const [ada, ben] = await pair(title);
    const menu = async (person, item) => {
      await person.page.getByRole('button', { name: 'Conversation menu' }).click();
      await person.page.getByRole('menuitem', { name: item }).click();
    };
    await ada.write('Be kind');
    await ben.sees('Be kind');
    await ada.act('Be kind', 'Pin');
    await ben.bubble('Be kind').getByLabel('Pinned').waitFor();
    await menu(ben, 'Pinned messages');
    await ben.page.getByRole('list', { name: 'Pinned messages' }).getByText('Be kind').waitFor();
    await ben.page.getByRole('button', { name: 'Close pinned messages' }).click();
    await menu(ben, 'Notifications');
    await ben.page.getByRole('dialog').getByLabel('Mute').selectOption('8 hours');
    await ben.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await ben.row(title).getByLabel('Muted').waitFor();
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    await ada.page.getByRole('button', { name: `About ${ben.name}` }).click();
    await ada.page.getByRole('menuitem', { name: 'Make admin' }).click();
    await ben.page.getByText(`${ada.name} made you an admin`).last().waitFor();
    await menu(ben, 'Archive');
    for (const person of [ada, ben]) await person.page.getByText('This conversation is archived.').waitFor();
    await menu(ada, 'Unarchive');
    await ben.write('We are back');
    await ada.sees('We are back');
  });

  scenario('who is blocked is hidden in a room and cannot write directly', async () => {
    const [ada, ben] = await pair(room('Market'));
    await ben.write('Buy my watches');
    await ada.sees('Buy my watches');
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    await ada.page.getByRole('button', { name: `About ${ben.name}` }).click();
    await ada.page.getByRole('menuitem', { name: 'Block' }).click();
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
    await ada.sees('Hidden: you blocked this person');
    await ada.page.reload();
    await ada.sees('Hidden: you blocked this person');
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    await ada.page.getByRole('button', { name: `About ${ben.name}` }).click();
    await ada.page.getByRole('menuitem', { name: 'Unblock' }).click();
    await ada.sees('Buy my watches');
  });

  scenario('whoever is blocked stays hidden, however many others are blocked too', async () => {
    const [ada, ben] = await pair(room('Bazaar'));
    await ben.write('Buy my carpets');
    await ada.sees('Buy my carpets');
    const id = await ben.userId();
    const pages = [];
    // More than one page holds them: a page of a hundred others, then Ben.
    await ada.context.route('**/v1/me/blocks*', (route) => {
      const cursor = new URL(route.request().url()).searchParams.get('cursor');
      pages.push(cursor);
      const others = Array.from({ length: 100 }, (_, i) => ({ id: `other-${i}`, display_name: `Other ${i}` }));
      return route.fulfill({
        json: cursor ? { items: [{ id }], next_cursor: null } : { items: others, next_cursor: 'more' },
      });
    });
    await ada.page.reload();
    await ada.sees('Hidden: you blocked this person');
    // Who connects anew asks anew.
    assert.deepEqual(pages, Array.from(pages, (_, i) => (i % 2 ? 'more' : null)));
    assert.ok(pages.length >= 2);
  });

  scenario('the members panel says both who is there and what they say of themselves', async () => {
    const [ada, ben] = await pair(room('Office'));
    await ben.call('PATCH', 'me', { status_text: 'On the road' });
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    const row = ada.page.locator('.member', { hasText: ben.name });
    await row.getByText('online · On the road').waitFor();
    await ben.page.close();
    await row.getByText(/last seen .* · On the road/).waitFor();
  });

  scenario('only admins can post where that is set, and slow mode spaces out what members say', async () => {
    const title = room('Town hall');
    const [ada, ben] = await pair(title);
    const set = async (choices, meanwhile = async () => {}) => {
      await ada.page.getByRole('button', { name: 'Conversation menu' }).click();
      await ada.page.getByRole('menuitem', { name: 'Settings' }).click();
      const dialog = ada.page.getByRole('dialog', { name: 'Settings' });
      for (const [label, choice] of Object.entries(choices)) await dialog.getByLabel(label).selectOption(choice);
      await meanwhile();
      await dialog.getByRole('button', { name: 'Save' }).click();
      await dialog.waitFor({ state: 'detached' });
    };
    await set({ 'Who may write': 'Only admins' });
    await ben.page.getByText('Only admins can post here.').waitFor();
    assert.equal(await ben.page.getByLabel('Message', { exact: true }).isVisible(), false);
    await ben.page.locator('.system', { hasText: `${ada.name} let only admins post` }).waitFor();
    await ada.write('Welcome, all');
    await ben.sees('Welcome, all');
    assert.deepEqual(await complaints(ben.page), []);
    await ben.shot('only-admins');
    const path = `conversations/${await ben.page.evaluate(() => location.hash.split('/').pop())}`;
    const renamed = room('Plenum, renamed');
    await set({ 'Who may write': 'Everyone', 'Slow mode': 'One message in 10 seconds' }, async () => {
      await ada.call('PATCH', path, { title: renamed });
      await ada.page.getByText(`You changed the title to “${renamed}”`).first().waitFor();
    });
    await ben.page.locator('.system', { hasText: `${ada.name} let everyone post` }).waitFor();
    const now = await ben.call('GET', path);
    assert.deepEqual([now.slow_mode_seconds, now.title], [10, renamed], 'what was changed meanwhile stays');
    await ben.write('First question');
    await ben.write('Second question');
    await ada.sees('First question');
    // Not refused: it waits for its time.
    await ben.bubble('Second question').getByLabel('Sending').waitFor();
    await ada.sees('Second question');
    await ben.bubble('Second question').getByLabel(/Sent|Delivered|Read/).waitFor();
    assert.deepEqual((await ada.texts()).slice(-2), ['First question', 'Second question']);
  });

  scenario(
    'a message is reported to the admins, with a reason and what happened',
    async () => {
      const [ada, ben] = await pair(room('Noticeboard'));
      await ben.write('Cheap watches at my place');
      await ada.sees('Cheap watches at my place');
      await ada.act('Cheap watches at my place', 'Report');
      const dialog = ada.page.getByRole('dialog', { name: `Report a message of ${ben.name}` });
      await dialog.getByLabel('Reason').selectOption('Spam');
      await dialog.getByLabel('What happened? (optional)').fill('The third time this week.');
      assert.deepEqual(await complaints(ada.page), []);
      await ada.shot('report');
      await dialog.getByRole('button', { name: 'Report' }).click();
      await ada.page.getByText('Thank you. The admins will look at it.').waitFor();
      await dialog.waitFor({ state: 'detached' });
      const token = the.server.token('--sub', 'office', '--username', 'office', '--role', 'admin');
      const answer = await fetch(`${the.server.url}/v1/org/reports?status=open`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const { items } = await answer.json();
      const { content, reason, comment, reporter } = items.find(({ user }) => user.display_name === ben.name);
      assert.deepEqual(
        { content, reason, comment, by: reporter.display_name },
        { content: 'Cheap watches at my place', reason: 'spam', comment: 'The third time this week.', by: ada.name },
      );
    },
    { skip: process.env.BASE_URL ? 'needs a server whose secret is known' : false },
  );

  scenario('a talk looks good: replies, reactions, mentions and panels, light and dark, desk and phone', async () => {
    const title = room('Saturday hike');
    const ada = await arrive('Nora');
    const ben = await arrive('Theo');
    const phone = await arrive('Iris', { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true });
    await ada.createRoom(title, 'Boots on at eight');
    for (const person of [ben, phone]) await person.joinRoom(title);
    await ada.write('Which way round the lake this time?');
    await ben.sees('Which way round the lake this time\\?');
    await ben.act('Which way round the lake this time\\?', 'Reply');
    await ben.write(`North side, the light is better. @${ada.name.toLowerCase()} bring the camera!`);
    await phone.page.locator('.quote').waitFor();
    await ada.react('Which way round the lake this time\\?', '🎉');
    await ben.react('Which way round the lake this time\\?', '👍');
    await ben.react('Which way round the lake this time\\?', '🎉');
    await ada.act('Which way round the lake this time\\?', 'Pin');
    await ada.write('Deal. I will have it with me');
    await phone.sees('Deal. I will have it with me');
    await phone.bubble('Deal. I will have it with me').getByRole('button', { name: 'Message actions' }).click();
    await phone.page.getByRole('menuitem', { name: 'React' }).click();
    await phone.page.getByRole('menu', { name: 'Reactions' }).waitFor();
    assert.deepEqual(await complaints(phone.page), []);
    await phone.shot('phone-reactions');
    await phone.page.getByRole('menuitem', { name: '❤️' }).click();
    await ada.page.getByRole('button', { name: '❤️ 1' }).waitFor();
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    await ada.page.locator('.member', { hasText: ben.name }).getByText('online').waitFor();
    await ben.page.getByLabel('Message', { exact: true }).pressSequentially('Who drives');
    await ada.page.locator('.chat .typing', { hasText: `${ben.name} is typing…` }).waitFor();
    assert.deepEqual(await complaints(ada.page), []);
    assert.deepEqual(await complaints(ben.page), []);
    await ada.shot('talk-light');
    await ada.page.emulateMedia({ colorScheme: 'dark' });
    await ada.shot('talk-dark');
    await ben.bubble('Deal. I will have it with me').hover();
    await ben.bubble('Deal. I will have it with me').getByRole('button', { name: 'Message actions' }).click();
    await ben.shot('message-menu');
    assert.deepEqual(await complaints(ben.page), []);
    await phone.shot('phone-talk');
  });

  // Last: their banner stays with whoever comes after.
  const OWN_SERVER = { skip: process.env.BASE_URL ? 'needs a server whose secret is known' : false };
  const banner = (person) => person.page.getByRole('status', { name: 'Announcement' });
  const announce = async (title, content) => {
    const token = the.server.token('--sub', 'office', '--username', 'office', '--role', 'admin');
    const answer = await fetch(`${the.server.url}/v1/announcements`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ title, content }),
    });
    assert.equal(answer.status, 201, await answer.text());
  };

  scenario(
    'an announcement stays when the list that was asked for before it comes after it',
    async () => {
      const ada = await arrive('Ada');
      // What the first page asks for is not held.
      await ada.page.goto('about:blank');
      let hold;
      const held = new Promise((resolve) => (hold = resolve));
      await ada.page.route('**/v1/announcements?*', async (route) => hold({ route, response: await route.fetch() }));
      await ada.page.goto(the.server.url);
      const { route, response } = await held;
      await announce('Fire drill', 'At noon.');
      await banner(ada).getByText('Fire drill').waitFor();
      await route.fulfill({ response });
      await (await route.request().response()).finished();
      // The page draws what it got in a task of its own.
      await ada.page.evaluate(() => new Promise((drawn) => setTimeout(() => setTimeout(drawn))));
      assert.equal(await banner(ada).getByText('Fire drill').isVisible(), true);
      await ada.page.getByRole('button', { name: 'Dismiss the announcement' }).click();
      await banner(ada).waitFor({ state: 'hidden' });
    },
    OWN_SERVER,
  );

  scenario(
    'an announcement is shown to everybody until each has read it',
    async () => {
      const ada = await arrive('Ada');
      await announce('Moving day', 'We are offline from six to seven.');
      await banner(ada).getByText('Moving day').waitFor();
      const ben = await arrive('Ben');
      await banner(ben).getByText('We are offline from six to seven.').waitFor();
      assert.deepEqual(await complaints(ben.page), []);
      await ben.shot('announcement');
      const told = ada.page.waitForResponse((response) => response.url().endsWith('/v1/announcements/read'));
      await ada.page.getByRole('button', { name: 'Dismiss the announcement' }).click();
      await banner(ada).waitFor({ state: 'hidden' });
      assert.equal((await told).ok(), true);
      const read = ada.page.waitForResponse((response) => response.url().includes('/v1/announcements?'));
      await ada.page.reload();
      await read;
      await ada.connected();
      assert.equal(await banner(ada).isVisible(), false, 'the server knows what was read');
    },
    OWN_SERVER,
  );
};

stage('what people do with messages and with each other', define, SECRET);
