// Notifications: each once, the count right or asked for; and of which messages the desktop tells.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { wanted } from '../conversation.js';
import { noticeText } from '../format.js';
import { Notices } from '../notices.js';
import { Inbox } from '../inbox.js';
import { State } from '../state.js';
import { ADA, conversation, ME, message, sender } from './fixtures.js';

function notice(n, fields = {}) {
  return {
    id: `n${n}`,
    user_seq: n,
    kind: 'mention',
    conversation_id: 'c1',
    message_id: `m${n}`,
    actor: sender(ADA),
    preview: 'hello',
    created_at: `2026-11-21T08:00:0${n}.000Z`,
    read_at: null,
    ...fields,
  };
}

const AT = '2026-11-21T09:00:00.000Z';
const ids = (notices) => notices.list().map(({ id }) => id);

test('new ones come first and count; one that is repeated or older than what is known changes nothing', () => {
  const notices = new Notices();
  notices.page({ items: [notice(2), notice(1, { read_at: AT })], unread_count: 7, next_cursor: 'x' }, true);
  assert.equal(notices.put(notice(3)), 'new');
  assert.equal(notices.put(notice(3)), 'known');
  assert.deepEqual([ids(notices), notices.unread], [['n3', 'n2', 'n1'], 8]);
  assert.equal(notices.put(notice(2, { user_seq: 4, read_at: AT })), 'known');
  assert.equal(notices.put(notice(2)), 'known');
  assert.equal(notices.unread, 7);
});

test('one that was read elsewhere and is not loaded makes us ask', () => {
  const notices = new Notices();
  notices.page({ items: [notice(9)], unread_count: 40, next_cursor: 'x' }, true);
  assert.equal(notices.put(notice(1, { user_seq: 10, read_at: AT })), 'unsure');
  assert.deepEqual([ids(notices), notices.unread], [['n9'], 40]);
});

test('what is read here shows at once, and the event about it counts nothing twice', () => {
  const notices = new Notices();
  notices.page({ items: [notice(3), notice(2), notice(1)], unread_count: 5, next_cursor: 'x' }, true);
  notices.read(['n3', 'gone']);
  assert.equal(notices.unread, 4);
  notices.put(notice(3, { user_seq: 4, read_at: AT }));
  notices.read(['n3']);
  assert.equal(notices.unread, 4);
  notices.read(null);
  assert.deepEqual([notices.unread, notices.unreadIn('c1')], [0, []]);
});

test('pages go on at the end; the first one begins anew', () => {
  const notices = new Notices();
  notices.page({ items: [notice(3)], unread_count: 2, next_cursor: 'x' }, true);
  notices.page({ items: [notice(1, { conversation_id: 'c2' })], unread_count: 2, next_cursor: null }, false);
  assert.deepEqual([ids(notices), notices.cursor], [['n3', 'n1'], null]);
  assert.deepEqual(notices.unreadIn('c1'), ['n3']);
  notices.page({ items: [notice(3)], unread_count: 1, next_cursor: 'x' }, true);
  assert.deepEqual(ids(notices), ['n3']);
});

test('a page that is older than what events told overwrites nothing', () => {
  const notices = new Notices();
  notices.page({ items: [notice(3)], unread_count: 4, next_cursor: 'x' }, true);
  notices.put(notice(1, { user_seq: 9 }));
  notices.read(['n1']);
  notices.put(notice(2, { user_seq: 10 }));
  notices.page({ items: [notice(2), notice(1, { user_seq: 9 })], unread_count: 4, next_cursor: null }, false, false);
  assert.deepEqual([notices.byId.get('n2').user_seq, Boolean(notices.byId.get('n1').read_at)], [10, true]);
  assert.equal(notices.unread, 5, 'the count of that page is older too');
  notices.page({ items: [notice(2)], unread_count: 4, next_cursor: null }, true);
  assert.equal(notices.byId.get('n2').user_seq, 10);
});

/** An inbox whose server answers with what `answer(query)` gives. */
const inbox = (notices, answer) =>
  new Inbox({ api: { get: async (_, query) => answer(query) }, notices, changed() {} });

test('a page that events overtook is asked for again, and at last its count is asked for', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const notices = new Notices();
  notices.page({ items: [notice(3)], unread_count: 2, next_cursor: 'x' }, true);
  let asked = 0;
  const one = inbox(notices, () => {
    asked += 1;
    if (asked === 1) notices.put(notice(4));
    return { items: [notice(2)], unread_count: asked === 1 ? 2 : 3, next_cursor: 'y' };
  });
  await one.more();
  assert.deepEqual([asked, notices.unread, ids(notices)], [2, 3, ['n4', 'n3', 'n2']]);

  const queries = [];
  const busy = inbox(notices, (query) => {
    queries.push(query);
    if (query.cursor) notices.read(['n4']);
    return { items: [notice(1)], unread_count: query.cursor ? 99 : 1, next_cursor: null };
  });
  await busy.more();
  assert.deepEqual([notices.unread, ids(notices)], [2, ['n4', 'n3', 'n2', 'n1']]);
  t.mock.timers.tick(1000);
  assert.equal(queries.at(-1).cursor, undefined, 'the count is asked for');
  await new Promise((done) => setImmediate(done));
  assert.equal(notices.unread, 1);
});

test('a first page that events overtook each time is asked for again a little later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const notices = new Notices();
  const stored = [];
  const one = inbox(notices, () => {
    const page = { items: [...stored].reverse(), unread_count: stored.length, next_cursor: null };
    if (stored.length < 4) {
      stored.push(notice(stored.length + 1));
      notices.put(stored.at(-1));
    }
    return page;
  });
  await one.load();
  assert.equal(notices.loaded, true);
  t.mock.timers.tick(300);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual([notices.unread, ids(notices)], [4, ['n4', 'n3', 'n2', 'n1']]);
});

test('a list that did not come can be asked for again', async () => {
  const notices = new Notices();
  let away = true;
  const one = inbox(notices, () => {
    if (away) throw new Error('away');
    return { items: [notice(1)], unread_count: 1, next_cursor: null };
  });
  await assert.rejects(one.load(), /away/);
  assert.deepEqual([one.failed, notices.loaded], [true, false]);
  away = false;
  await one.load();
  assert.deepEqual([one.failed, notices.loaded, notices.unread], [false, true, 1]);
});

test('the feed brings notifications, settings, and names', () => {
  const state = new State(ME);
  state.load({ epoch: 'e', user_seq: 4 }, [conversation()]);
  const created = { type: 'notification.created', user_seq: 5, data: notice(5) };
  assert.deepEqual(state.apply(created), [{ type: 'notified', notice: notice(5) }]);
  assert.deepEqual(state.apply(created), []);
  const updated = { type: 'notification.updated', user_seq: 6, data: notice(5, { user_seq: 6, read_at: AT }) };
  assert.deepEqual(state.apply(updated), []);
  assert.equal(state.notices.unread, 0);
  const unknown = { type: 'notification.updated', user_seq: 7, data: notice(1, { user_seq: 7, read_at: AT }) };
  assert.deepEqual(state.apply(unknown), [{ type: 'recount' }]);
  const user = { ...sender(ADA), display_name: 'Countess' };
  assert.deepEqual(state.apply({ type: 'user.updated', data: user }), [{ type: 'profile', user }]);
  assert.equal(state.notices.list()[0].actor.display_name, 'Countess');
  state.apply({ type: 'notification_preferences.updated', user_seq: 8, data: { notify: 'none', muted_until: null } });
  assert.equal(state.preferred.notify, 'none');
  assert.equal(state.resume().user_seq, 8);
});

test('one is told of messages as the settings say, the stricter ones', () => {
  const now = Date.parse('2026-11-21T08:00:00.000Z');
  const all = { notify: 'all', muted_until: null };
  const tells = (here, everywhere, fields) =>
    wanted({ info: { ...all, ...here } }, { ...all, ...everywhere }, message(1, fields), now);
  const everybody = { mentions: [{ offset: 0, length: 4, user: null }] };
  assert.equal(tells({}, {}), true);
  assert.equal(tells({ notify: 'mentions' }, {}), false);
  assert.equal(tells({}, { notify: 'mentions' }), false);
  assert.equal(tells({ notify: 'mentions' }, {}, everybody), true);
  assert.equal(tells({ notify: 'none' }, {}, everybody), false);
  assert.equal(tells({}, { notify: 'none' }, everybody), false);
  assert.equal(tells({ muted_until: AT }, {}), false);
  assert.equal(tells({}, { muted_until: AT }), false);
  assert.equal(tells({ muted_until: '2026-11-21T07:00:00.000Z' }, {}), true);
});

test('notifications are sentences', () => {
  const group = { kind: 'group', title: 'Team' };
  const direct = { kind: 'direct', other: sender(ADA), subject: { title: 'Flat' } };
  const says = (kind, info) => noticeText({ kind, actor: sender(ADA) }, info);
  assert.equal(says('mention', group), 'user-ada mentioned you in Team');
  assert.equal(says('reply', group), 'user-ada answered you in Team');
  assert.equal(says('added', group), 'user-ada added you to Team');
  assert.equal(says('added', direct), 'user-ada began a conversation with you about Flat');
  assert.equal(says('reply', { ...direct, subject: null }), 'user-ada answered you');
  assert.equal(says('mention', null), 'user-ada mentioned you in a conversation that you left');
  assert.equal(says('waved', group), 'user-ada did something in Team');
});
