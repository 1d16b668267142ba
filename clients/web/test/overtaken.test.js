// Answers of REST that events overtook, or that overtook each other: what is shown is what is newest.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { progress, unread } from '../conversation.js';
import { ByHand, settle } from './by-hand.js';
import { ADA, changes, conversation, created, ME, message, sender } from './fixtures.js';

const ONE = 'GET /v1/conversations/c1';
const PAGE = 'GET /v1/conversations/c1/messages';
const PEOPLE = 'GET /v1/conversations/c1/participants';
const NEWS = 'GET /v1/announcements';
const BLOCKS = 'GET /v1/me/blocks';

let all = [];
afterEach(() => {
  for (const one of all) one.stop();
  all = [];
});
const begin = async (options) => {
  const one = await ByHand.begin(options);
  all.push(one);
  return one;
};

const ours = (fields = {}) => conversation({ last_seq: 3, last_message: message(3), ...fields });
const receipt = (user_id) => ({
  type: 'receipt.updated',
  conversation_id: 'c1',
  data: { conversation_id: 'c1', user_id, delivered_seq: 0, read_seq: 0, read_number: 0 },
});
const told = (seq, system) => created(seq, { kind: 'system', number: 3, content: '', system });
const participant = (id, seq) => ({ user: sender(id), role: 'member', read_seq: seq, delivered_seq: seq });
const people = (...items) => ({ items, next_cursor: null });
const news = (seq) => ({ id: `a${seq}`, seq, title: `News ${seq}`, content: 'x' });

test('what did not come besides conversations is asked for again on the next connection', async () => {
  const one = await begin({ aside: false });
  await one.refuse(BLOCKS);
  await one.refuse(NEWS);
  await one.answer('GET /v1/me/notification-preferences', { notify: 'mentions', muted_until: null });
  one.lose();
  const hello = await one.connect();
  assert.equal(hello.resume.epoch, 'e');
  await one.answer(BLOCKS, people({ id: ADA }));
  await one.answer(NEWS, { items: [news(2)], next_cursor: null, read_seq: 1 });
  assert.deepEqual([...one.state.blocked], [ADA]);
  assert.deepEqual(one.state.announcements, [news(2)]);
  assert.equal(one.state.preferred.notify, 'mentions');
  assert.deepEqual(one.waiting('GET /v1/me/notification-preferences'), [], 'that came');
});

test('a resume goes on from the announcements that there were, not from the first one', async () => {
  const one = new ByHand();
  all.push(one);
  await one.connect({ announcement_seq: 7 });
  await one.answer('GET /v1/conversations', people());
  await one.refuse(NEWS);
  one.lose();
  assert.equal((await one.connect()).resume.announcement_seq, 7);
});

test('an announcement that another device read while we were away goes', async () => {
  const one = await begin();
  one.frame({ type: 'announcement', data: news(1) });
  one.lose();
  await one.connect();
  await one.answer(NEWS, { items: [news(1)], next_cursor: null, read_seq: 1 });
  assert.deepEqual(one.state.announcements, []);
  one.lose();
  await one.connect();
  assert.deepEqual(one.waiting(NEWS), [], 'nothing is shown: nobody has to ask');
});

test('another history brings its own announcements and notifications', async () => {
  const one = await begin();
  one.frame({ type: 'announcement', data: news(9) });
  const notice = { id: 'n1', kind: 'mention', conversation_id: 'c1', actor: sender(ADA), created_at: '2026' };
  one.frame({ type: 'notification.created', user_seq: 50, data: { ...notice, user_seq: 50, read_at: null } });
  one.lose();
  await one.connect({ epoch: 'f', announcement_seq: 2 });
  await one.answer('GET /v1/conversations', people(conversation()));
  await one.answer('GET /v1/notifications', {
    items: [{ ...notice, user_seq: 30, read_at: '2026' }],
    unread_count: 0,
    next_cursor: null,
  });
  assert.deepEqual([one.state.announcements, one.state.announcementSeq, one.state.notices.unread], [[], 2, 0]);
  one.frame({ type: 'announcement', data: news(3) });
  assert.deepEqual(one.state.announcements, [news(3)]);
  assert.equal(one.state.notices.put({ ...notice, user_seq: 31, read_at: '2026' }), 'known');
  assert.equal(one.state.notices.byId.get('n1').user_seq, 31, 'it follows the events of this history');
});

test('who comes while a count is on its way is counted too', async () => {
  const one = await begin({ conversations: [ours({ kind: 'public', participant_count: 1 })] });
  one.frame(receipt('ben'));
  one.frame(receipt('cleo'));
  await one.answer(ONE, ours({ kind: 'public', participant_count: 2 }));
  await one.answer(ONE, ours({ kind: 'public', participant_count: 3 }));
  assert.equal(one.state.get('c1').info.participant_count, 3);
  assert.deepEqual(one.waiting(ONE), []);
});

test('of a conversation that we did not know, nothing is missed while it is asked for', async () => {
  const one = await begin({ conversations: [] });
  one.frame(created(5));
  one.frame(created(6));
  await one.answer(ONE, ours({ last_seq: 5, last_message: message(5) }));
  await one.answer(ONE, ours({ last_seq: 6, last_message: message(6) }));
  const fill = one.sent.find(({ type }) => type === 'changes.get');
  assert.equal(fill.after, 5);
  fill.resolve(changes(5, 6, [message(6)]));
  await settle();
  assert.equal(one.state.get('c1').cursor, 6);
  assert.equal(one.state.get('c1').info.last_message.seq, 6);
});

test('a conversation that has to be fetched anew is, though its count was on its way', async () => {
  const one = await begin({ conversations: [ours({ kind: 'public' })] });
  one.frame(receipt('ben'));
  one.frame({ type: 'resync_required', data: { conversation_id: 'c1', reason: 'too_far_behind' } });
  const far = ours({ kind: 'public', last_seq: 20_000, last_message: message(20_000) });
  await one.answer(ONE, far);
  await one.answer(ONE, far);
  assert.equal(one.state.get('c1').cursor, 20_000);
});

test('what came after a hole is not forgotten when all before it comes at once', async () => {
  const one = await begin({ conversations: [ours()] });
  one.frame({ type: 'resync_required', data: { conversation_id: 'c1', reason: 'too_far_behind' } });
  one.frame(created(9));
  await one.answer(ONE, ours({ last_seq: 8, last_message: message(8) }));
  assert.equal(one.state.get('c1').cursor, 9);
  assert.equal(one.state.get('c1').info.last_message.seq, 9);
});

test('a late answer does not bring back what we were removed from', async () => {
  for (const type of ['count', 'anew']) {
    const one = await begin({ conversations: [ours({ kind: 'public' })] });
    if (type === 'count') one.frame(receipt('ben'));
    else one.frame({ type: 'resync_required', data: { conversation_id: 'c1', reason: 'too_far_behind' } });
    one.frame({ type: 'participant.removed', user_seq: 5, data: { conversation_id: 'c1', user_id: ME } });
    await one.answer(ONE, ours({ kind: 'public' }));
    assert.equal(one.state.get('c1'), null, type);
    one.frame({ type: 'conversation.created', user_seq: 6, data: ours({ kind: 'public' }) });
    assert.notEqual(one.state.get('c1'), null, 'until it is ours again');
  }
  const one = await begin({ conversations: [] });
  one.frame(created(5));
  one.frame({ type: 'participant.removed', user_seq: 5, data: { conversation_id: 'c1', user_id: ME } });
  await one.answer(ONE, ours());
  assert.equal(one.state.get('c1'), null, 'nor what we never had');
});

test('a count that is ahead of the socket does not fetch what the socket is about to tell', async () => {
  const one = await begin({ conversations: [ours({ kind: 'public' })] });
  one.frame(receipt('ben'));
  await one.answer(ONE, ours({ kind: 'public', last_seq: 4, last_message: message(4) }));
  assert.equal(one.sent.filter(({ type }) => type === 'changes.get').length, 0);
  one.frame(created(4));
  assert.deepEqual(one.told.slice(-1), ['arrived']);
});

/** The conversation is open, with these people. */
const opened = async (...items) => {
  const one = await begin({ conversations: [ours({ participant_count: items.length })] });
  one.sync.open('c1');
  await one.answer(PAGE, { items: [message(3)], next_cursor: null });
  if (items.length) await one.answer(PEOPLE, people(...items));
  return one;
};
const listed = (one) => one.sync.people.of('c1').map(({ id }) => id);

test('one comes and another goes at once: the list after both counts', async () => {
  const one = await opened(participant(ME, 3), participant('ben', 3));
  one.frame(told(4, { type: 'participant.added', users: [sender('cleo')] }));
  one.frame(told(5, { type: 'participant.removed', user: sender('ben') }));
  await one.answer(PEOPLE, people(participant(ME, 3), participant('ben', 4), participant('cleo', 0)));
  await one.answer(PEOPLE, people(participant(ME, 3), participant('cleo', 0)));
  assert.deepEqual(listed(one), [ME, 'cleo']);
  assert.equal(progress(one.state.get('c1'), 4, ME).state, 'sent', 'Cleo has not read it');
});

test('who goes while the first list is on its way makes us ask again, and has no marker', async () => {
  const one = await begin({ conversations: [ours()] });
  one.sync.open('c1');
  one.frame(told(4, { type: 'participant.removed', user: sender('ben') }));
  await one.answer(PEOPLE, people(participant(ME, 3), participant('ben', 4), participant('cleo', 0)));
  await one.answer(PEOPLE, people(participant(ME, 3), participant('cleo', 0)));
  assert.deepEqual(listed(one), [ME, 'cleo']);
  assert.deepEqual([...one.state.get('c1').receipts.keys()], ['cleo']);
});

test('however many come at once, the people are asked for one at a time, and a refusal takes nobody away', async () => {
  const one = await opened(participant(ME, 3), participant('ben', 3));
  for (let n = 4; n < 24; n += 1) one.frame(told(n, { type: 'participant.added', users: [sender(`user-${n}`)] }));
  assert.equal(one.waiting(PEOPLE).length, 1);
  await one.answer(PEOPLE, people(participant(ME, 3), participant('ben', 3), participant('user-4', 0)));
  await one.refuse(PEOPLE, { status: 429 });
  assert.deepEqual(listed(one), [ME, 'ben', 'user-4']);
  assert.equal(one.waiting(PEOPLE).length, 0);
});

test('who left a public room without a word has no marker once the people are asked for again', async () => {
  const one = await opened(participant(ME, 3), participant('ben', 3));
  one.sync.people.again('c1');
  await one.answer(PEOPLE, people(participant(ME, 3), participant('cleo', 0)));
  assert.deepEqual([...one.state.get('c1').receipts.keys()], ['cleo']);
});

test('of a list that goes on, the markers of others stay', async () => {
  const one = await opened(participant(ME, 3), participant('ben', 3));
  one.frame(told(4, { type: 'participant.added', users: [sender('cleo')] }));
  await one.answer(PEOPLE, { items: [participant('cleo', 0)], next_cursor: 'x' });
  assert.deepEqual([...one.state.get('c1').receipts.keys()], ['ben', 'cleo']);
});

test('a page that does not come is asked for again after a while, not at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const one = await opened(participant(ME, 3));
  one.state.get('c1').timeline.complete = false;
  one.sync.older('c1');
  await one.refuse(PAGE);
  for (let n = 0; n < 3; n += 1) one.sync.older('c1');
  assert.equal(one.waiting(PAGE).length, 0);
  t.mock.timers.tick(2000);
  one.sync.older('c1');
  assert.equal(one.waiting(PAGE).length, 1);
});

test('a page that does not come takes nothing from another one that does', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const one = await begin({ conversations: [ours({ last_seq: 100, last_message: message(100) })] });
  const { timeline } = one.state.get('c1');
  one.sync.around('c1', 98);
  await one.answer(PAGE, { items: [message(98), message(99)], next_cursor: 'x' });
  await one.answer(PEOPLE, people());
  one.sync.older('c1');
  await one.refuse(PAGE);
  one.sync.newer('c1');
  one.frame(created(101));
  t.mock.timers.tick(2000);
  one.frame(created(102));
  await one.answer(PAGE, { items: [message(100)], next_cursor: null });
  assert.deepEqual(
    timeline.list().map(({ seq }) => seq),
    [98, 99, 100, 101, 102],
  );
  timeline.live = false;
  one.sync.newer('c1');
  await one.refuse(PAGE);
  one.sync.newer('c1');
  assert.equal(one.waiting(PAGE).length, 0, 'not at once');
  t.mock.timers.tick(2000);
  one.sync.newer('c1');
  assert.equal(one.waiting(PAGE).length, 1);
});

test('a conversation that begins with a message is told, and the message is delivered', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const one = await begin({ conversations: [] });
  t.mock.timers.tick(300);
  const last_message = message(2, { number: 1 });
  const info = ours({ kind: 'direct', other: sender(ADA), last_seq: 2, last_message, read_seq: 1, unread_count: 1 });
  one.frame({ type: 'conversation.created', user_seq: 5, data: info });
  assert.deepEqual(one.told.slice(-2), ['joined', 'arrived']);
  assert.equal(unread(one.state.get('c1')), 1);
  t.mock.timers.tick(300);
  assert.deepEqual(
    one.sent.filter(({ type }) => type === 'receipt.delivered').map(({ seq }) => seq),
    [2],
  );
  one.frame({ type: 'conversation.created', user_seq: 6, data: info });
  one.frame({ type: 'conversation.created', user_seq: 7, data: { ...info, id: 'c2', read_seq: 2 } });
  assert.equal(one.told.filter((type) => type === 'arrived').length, 1, 'once, and not what was read');
});

test('what comes many at a time is delivered too', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const one = await begin({ conversations: [ours({ read_seq: 3 })] });
  t.mock.timers.tick(300);
  const delivered = () => one.sent.filter(({ type }) => type === 'receipt.delivered').map(({ seq }) => seq);
  one.frame(changes(3, 5, [message(4), message(5)]));
  t.mock.timers.tick(300);
  assert.deepEqual(delivered(), [5]);
  one.frame(created(7));
  t.mock.timers.tick(300);
  assert.deepEqual(delivered(), [5], 'there is a hole before the last one');
  one.sent.find(({ type }) => type === 'changes.get').resolve(changes(5, 7, [message(6), message(7)]));
  await settle();
  t.mock.timers.tick(300);
  assert.deepEqual(delivered(), [5, 7]);
});

test('a message of ours that a page brings is not on its way any more', async () => {
  const one = await begin({ conversations: [ours()] });
  one.sync.outbox.add('c1', 'hello');
  const { client_id } = one.sync.outbox.items[0];
  one.sync.open('c1');
  const mine = message(3, { client_id, sender: sender(ME), content: 'hello' });
  await one.answer(PAGE, { items: [mine], next_cursor: null });
  assert.equal(one.sync.outbox.of('c1').length, 1, 'nothing is shown of the page yet');
  await one.answer(PEOPLE, people());
  assert.deepEqual(one.sync.outbox.of('c1'), []);
  assert.equal(one.state.get('c1').timeline.at(3).content, 'hello');
});

test('a page that was on its way when somebody took another name has the new one', async () => {
  const one = await begin({ conversations: [ours()] });
  one.sync.open('c1');
  one.frame({ type: 'user.updated', data: { ...sender(ADA), display_name: 'Countess' } });
  const named = message(3, { mentions: [{ offset: 0, length: 4, user: sender(ADA) }] });
  await one.answer(PEOPLE, people(participant(ADA, 3)));
  await one.answer(PAGE, { items: [named], next_cursor: null });
  const { info, timeline } = one.state.get('c1');
  const { mentions } = timeline.at(3);
  const names = [timeline.at(3).sender, mentions[0].user, info.last_message.sender, one.sync.people.of('c1')[0]];
  assert.deepEqual(
    names.map(({ display_name }) => display_name),
    Array(4).fill('Countess'),
  );
  one.lose();
  await one.connect();
  one.sync.latest('c1');
  await one.answer(PAGE, { items: [named], next_cursor: null });
  await one.answer(PEOPLE, people());
  assert.equal(timeline.at(3).sender.display_name, ADA, 'what REST says later is newer');
});

test('it is told once that what is asked for besides conversations is known', async () => {
  const one = await begin({ aside: false });
  one.frame(created(1));
  assert.deepEqual(one.told.slice(-1), ['arrived']);
  await one.answer(BLOCKS, people());
  await one.refuse(NEWS);
  assert.equal(one.state.settled, false);
  await one.refuse('GET /v1/me/notification-preferences');
  assert.deepEqual(one.told.slice(-1), ['settled']);
  one.lose();
  await one.connect();
  await one.refuse(NEWS);
  await one.answer('GET /v1/me/notification-preferences', { notify: 'all', muted_until: null });
  assert.equal(one.told.filter((type) => type === 'settled').length, 1);
});

test('a setting that the feed told after ours stays, whatever our answer says', async () => {
  const one = await begin();
  const saved = one.sync.prefer('c1', { pinned: true });
  const settings = { conversation_id: 'c1', muted_until: null, notify: 'all', pinned_at: 'P' };
  one.frame({ type: 'preferences.updated', user_seq: 5, data: settings });
  one.frame({ type: 'preferences.updated', user_seq: 6, data: { ...settings, muted_until: '9999' } });
  await one.answer('PATCH /v1/conversations/c1/preferences', settings);
  await saved;
  assert.equal(one.state.get('c1').info.muted_until, '9999');

  const blocked = one.sync.block(ADA, true);
  one.frame({ type: 'user.blocked', user_seq: 7, data: { user_id: ADA } });
  one.frame({ type: 'user.unblocked', user_seq: 8, data: { user_id: ADA } });
  await one.answer(`PUT /v1/users/${ADA}/block`, null);
  await blocked;
  assert.deepEqual([...one.state.blocked], []);
});

test('settings count at once where the feed is silent', async () => {
  const one = await begin();
  const [saved, blocked] = [one.sync.prefer('c1', { pinned: true }), one.sync.block(ADA, true)];
  const settings = { conversation_id: 'c1', muted_until: null, notify: 'all', pinned_at: 'P' };
  await one.answer('PATCH /v1/conversations/c1/preferences', settings);
  await one.answer(`PUT /v1/users/${ADA}/block`, null);
  await Promise.all([saved, blocked]);
  assert.equal(one.state.get('c1').info.pinned_at, 'P');
  assert.deepEqual([...one.state.blocked], [ADA]);
});

test('mentions that were read elsewhere go, though the answer that says so is older than what came', async () => {
  const until5 = { kind: 'public', last_seq: 5, last_message: message(5) };
  const named = { read_seq: 4, unread_count: 1, mention_seqs: [5], mention_count: 1 };
  const one = await begin({ conversations: [ours({ ...until5, ...named })] });
  one.frame(receipt('ben'));
  one.frame(created(6));
  await one.answer(ONE, ours({ ...until5, read_seq: 5 }));
  const { info } = one.state.get('c1');
  assert.deepEqual([info.read_seq, info.mention_seqs, info.mention_count], [5, [], 0]);
  assert.equal(unread(one.state.get('c1')), 1);
});
