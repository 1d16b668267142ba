// A page without WebSockets: a real EventSource, signed in by a ticket for events, that lives through its server's end.

import assert from 'node:assert/strict';

import { OUTAGE, room, stage, until } from './stage.js';

/** Calls REST from within the page. */
const call = (person, method, path, body) =>
  person.page.evaluate(
    async ([method, path, body, token]) => {
      const answer = await fetch(`/v1/${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      return { status: answer.status, body: await answer.json().catch(() => null) };
    },
    [method, path, body, person.token],
  );

/** Somebody with a page, a token of their own and an EventSource in the page that keeps what came. */
async function listener(person, name) {
  const username = `${name}-${Date.now().toString(36)}`;
  const answer = await person.page.evaluate(async (username) => {
    const answer = await fetch('/v1/auth/guest', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username }),
    });
    return answer.json();
  }, username);
  person.token = answer.access_token;
  const bought = await call(person, 'POST', 'tickets', { for: 'events' });
  assert.equal(bought.status, 201);
  await person.page.evaluate((ticket) => {
    const source = new EventSource(`/v1/events?ticket=${encodeURIComponent(ticket)}`);
    const heard = { texts: [], replies: 0, opened: 0, ids: [], resyncs: 0, closes: [] };
    Object.assign(window, { source, heard });
    source.onopen = () => (heard.opened += 1);
    const text = (message) => message.kind === 'text' && heard.texts.push(message.content);
    source.addEventListener('message.created', (event) => {
      heard.ids.push(event.lastEventId);
      text(JSON.parse(event.data).data);
    });
    source.addEventListener('changes', (event) => {
      for (const change of JSON.parse(event.data).changes) text(change.data);
    });
    source.addEventListener('reply', () => (heard.replies += 1));
    source.addEventListener('resync_required', () => (heard.resyncs += 1));
    source.addEventListener('close', (event) => heard.closes.push(JSON.parse(event.data).code));
  }, bought.body.ticket);
  person.heard = () => person.page.evaluate(() => ({ ...window.heard, state: window.source.readyState }));
  await until('the stream is live', async () => (await person.heard()).replies === 1 || person.heard());
  return person;
}

stage('a page without WebSockets', ({ scenario, arrive, the }) => {
  scenario(
    'an EventSource hears what is said, and after its server was killed all that it missed',
    async () => {
      const ada = await listener(await arrive('Ada'), 'ada');
      const ben = await listener(await arrive('Ben'), 'ben');
      const group = await call(ada, 'POST', 'conversations', { kind: 'public', title: room('Harbour') });
      const path = `conversations/${group.body.id}`;
      assert.equal((await call(ben, 'POST', `${path}/join`)).status, 200);
      const say = async (content) => {
        const answer = await call(ada, 'POST', `${path}/messages`, { content });
        assert.equal(answer.status, 201, JSON.stringify(answer));
      };
      const hears = (texts) =>
        until(`ben hears ${texts}`, async () => {
          const heard = await ben.heard();
          return texts.every((text) => heard.texts.includes(text)) || heard;
        });
      await say('Ahoy');
      await hears(['Ahoy']);
      if (!the.server.ours) return;

      await the.server.kill();
      await the.server.run();
      // Before the browser comes back by itself, or after: it must be heard either way.
      await say('While you were away');
      await until('the browser comes back', async () => (await ben.heard()).replies >= 2 || ben.heard());
      await say('Live again');
      await hears(['Ahoy', 'While you were away', 'Live again']);
      const heard = await ben.heard();
      assert.equal(heard.resyncs, 0);
      assert.equal(heard.state, 1, 'open');
      assert.ok(heard.ids.at(-1).split('.').length === 4, `its id is ours: ${heard.ids.at(-1)}`);

      // A session that ends: the stream says so, and the browser gives up by itself.
      await call(ben, 'POST', 'auth/logout', {});
      await until('the browser gives up', async () => (await ben.heard()).state === 2 || ben.heard());
      assert.deepEqual((await ben.heard()).closes.at(-1), 4501);
    },
    { expected: new RegExp(`${OUTAGE.source}|favicon\\.ico|status of 401|ERR_INCOMPLETE_CHUNKED`) },
  );
});
