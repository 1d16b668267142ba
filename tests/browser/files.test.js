// What lies elsewhere and is shown in a chat: files beside messages, pictures of people, what a conversation is about.

import assert from 'node:assert/strict';

import { complaints } from './a11y.js';
import { room, stage, until } from './stage.js';

/** Addresses of others: answered by the test, as nobody may be asked for real. */
const FILES = 'https://files.example';
const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" width="800" height="600">
  <defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#8fb9e8"/><stop offset="1" stop-color="#f5d7b0"/></linearGradient></defs>
  <rect width="800" height="600" fill="url(#sky)"/>
  <path d="M0 470L190 300L330 430L520 240L800 480V600H0z" fill="#2f5d50"/></svg>`;

/** Half a second of silence. */
function sound() {
  const samples = 4000;
  const wave = Buffer.alloc(44 + samples, 128);
  wave.write('RIFF', 0);
  wave.writeUInt32LE(36 + samples, 4);
  wave.write('WAVEfmt ', 8);
  for (const [at, n] of [
    [16, 16],
    [24, 8000],
    [28, 8000],
    [40, samples],
  ])
    wave.writeUInt32LE(n, at);
  for (const [at, n] of [
    [20, 1],
    [22, 1],
    [32, 1],
    [34, 8],
  ])
    wave.writeUInt16LE(n, at);
  wave.write('data', 36);
  return wave;
}

/** Pictures come, what is missing is missing; returns what was asked for. */
async function elsewhere(person) {
  const asked = [];
  await person.context.route(`${FILES}/**`, (route) => {
    asked.push(route.request().url());
    return route.request().url().includes('missing')
      ? route.fulfill({ status: 404, body: '' })
      : route.fulfill({ contentType: 'image/svg+xml', body: PICTURE });
  });
  return asked;
}

const id = (person) => person.page.evaluate(() => location.hash.split('/').pop());
const here = async (person, attachments, content = '') =>
  person.call('POST', `conversations/${await id(person)}/messages`, { content, attachments });

stage('what lies elsewhere', ({ scenario, arrive, the }) => {
  scenario(
    'a message with files alone shows them: pictures in their place, all else as links with name and size',
    async () => {
      const title = room('Allotment');
      const ada = await arrive('Ada');
      const ben = await arrive('Ben');
      for (const person of [ada, ben]) await elsewhere(person);
      await ada.createRoom(title);
      await ben.joinRoom(title);
      const plan = { kind: 'image', url: `${FILES}/plan.png`, name: 'The plan', width: 800, height: 600 };
      const { id: photo } = await here(ada, [plan]);
      const image = ben.page.getByRole('img', { name: 'The plan' });
      await image.waitFor();
      await until('the picture is there', () => image.evaluate((node) => node.complete && node.naturalWidth > 0));
      assert.equal(await image.getAttribute('loading'), 'lazy');
      const { width, height } = await image.boundingBox();
      assert.deepEqual([width, height], [320, 240], 'bounded, and in its form');
      const whole = ben.page.getByRole('link', { name: 'The plan' });
      assert.equal(await whole.getAttribute('href'), `${FILES}/plan.png`);
      assert.equal(await whole.getAttribute('rel'), 'noopener noreferrer');
      await ben.row(title).getByText(`${ada.name}: Photo`).waitFor();

      const report = { kind: 'document', url: `${FILES}/r/report.pdf`, name: 'report.pdf', byte_size: 1_234_567 };
      const unnamed = { kind: 'document', url: `${FILES}/r/bed%20list.txt` };
      await here(ada, [report, unnamed]);
      const link = ben.page.getByRole('link', { name: 'report.pdf 1.2 MB' });
      await link.waitFor();
      assert.equal(await link.getAttribute('href'), report.url);
      await ben.page.getByRole('link', { name: 'bed list.txt' }).waitFor();
      await ben.row(title).getByText(`${ada.name}: 2 files: report.pdf, …`).waitFor();

      await here(ada, [{ kind: 'image', url: `${FILES}/missing.png`, name: 'Lost' }], 'See here');
      await ben.page.locator('a.file', { hasText: 'Lost' }).waitFor();
      await ben.sees('See here');

      await ben.call('POST', `conversations/${await id(ben)}/messages`, { content: 'Lovely', reply_to_id: photo });
      await ada
        .bubble('Lovely')
        .locator('.quote-text', { hasText: /^Photo$/ })
        .waitFor();
      await ada
        .bubble('Lovely')
        .getByRole('button', { name: /^In reply to You: Photo/ })
        .click();
      await ada.page.locator('.message.flash').getByRole('img', { name: 'The plan' }).waitFor();
      for (const person of [ada, ben]) assert.deepEqual(await complaints(person.page), []);
      await ben.shot('attachments');
    },
    { expected: /favicon\.ico|status of 404/ },
  );

  scenario('what plays has controls and loads little; what the page may not show is a link', async () => {
    const ada = await arrive('Ada');
    const asked = await elsewhere(ada);
    await ada.createRoom(room('Rehearsal'));
    // The server's own address: what its policy lets play.
    await ada.context.route('**/files/**', (route) => route.fulfill({ contentType: 'audio/wav', body: sound() }));
    await here(ada, [{ kind: 'audio', url: `${the.server.url}/files/take-1.wav`, name: 'Take 1' }]);
    const player = ada.page.locator('audio');
    await player.waitFor();
    assert.equal(await player.getAttribute('preload'), 'metadata');
    assert.equal(await player.getAttribute('aria-label'), 'Take 1');
    assert.equal(await player.evaluate((node) => node.controls), true);
    await until('it knows how long it is', () => player.evaluate((node) => node.duration > 0));

    await here(ada, [
      {
        kind: 'video',
        url: `${FILES}/concert.mp4`,
        name: 'Concert',
        byte_size: 53_000_000,
        thumbnail_url: `${FILES}/still.png`,
      },
      { kind: 'image', url: 'http://insecure.example/x.png', name: 'Unsafe way' },
    ]);
    const concert = ada.page.locator('video');
    await concert.waitFor();
    assert.equal(await concert.getAttribute('preload'), 'none');
    assert.equal(await concert.getAttribute('aria-label'), 'Concert');
    await ada.page.getByRole('link', { name: 'Unsafe way' }).waitFor();
    assert.deepEqual(asked, [], 'nothing of it is asked for before somebody wants it');
    assert.deepEqual(await complaints(ada.page), []);
  });

  scenario('an address that is none of http never becomes a link', async () => {
    const ada = await arrive('Ada');
    await ada.createRoom(room('Trap'));
    // The server refuses such an address; another one might not.
    await ada.context.route('**/v1/conversations/*/messages?*', async (route) => {
      const answer = await route.fetch();
      const page = await answer.json();
      page.items.at(-1).attachments = [{ kind: 'document', url: 'javascript:alert(1)', name: 'Click me' }];
      page.items.at(-1).kind = 'text';
      await route.fulfill({ response: answer, json: page });
    });
    await ada.page.reload();
    await ada.page.locator('.file', { hasText: 'Click me' }).waitFor();
    assert.equal(await ada.page.locator('a[href^="javascript"]').count(), 0);
    assert.equal(await ada.page.locator('a.file').count(), 0);
  });

  scenario('two conversations with one person are told apart by what they are about', async () => {
    const ada = await arrive('Ada');
    const ben = await arrive('Ben');
    const about = (title, url) =>
      ada.userId().then((other) =>
        ben.call('POST', 'conversations', {
          kind: 'direct',
          participant_ids: [other],
          subject: { type: 'listing', id: title, title, url },
        }),
      );
    const flat = await about('Flat, 2 rooms', 'https://example.com/4711');
    await about('Garage in the yard');
    await ben.call('POST', `conversations/${flat.id}/messages`, { content: 'Is it still free?' });
    await ada.row('Garage in the yard').waitFor();
    await ada.row('Flat, 2 rooms').filter({ hasText: ben.name }).getByText('Is it still free?').waitFor();
    await ada.row('Flat, 2 rooms').click();
    await ada.sees('Is it still free\\?');
    const head = ada.page.locator('.chat .bar');
    await head.getByRole('heading', { name: ben.name }).waitFor();
    const link = head.getByRole('link', { name: 'Flat, 2 rooms' });
    assert.equal(await link.getAttribute('href'), 'https://example.com/4711');
    assert.equal(await link.getAttribute('target'), '_blank');
    await head.getByText('online').waitFor();
    await ada.page.getByRole('button', { name: 'Members', exact: true }).click();
    const panel = ada.page.getByRole('complementary', { name: 'Members' });
    await panel.getByText('About Flat, 2 rooms').waitFor();
    await panel.getByRole('link', { name: 'Flat, 2 rooms' }).waitFor();
    assert.deepEqual(await complaints(ada.page), []);
    await ada.shot('subject');
    await ada.row('Garage in the yard').click();
    await head.getByText('Garage in the yard').waitFor();
    assert.equal(await head.getByRole('link', { name: 'Garage in the yard' }).count(), 0, 'it leads nowhere');
  });
});
