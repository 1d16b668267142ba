// The client's copy equals the server's, whatever order and however often things arrive.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { progress, unread } from '../conversation.js';
import { State } from '../state.js';
import { ADA, changes, conversation, created, edited, ME, message, sender } from './fixtures.js';

function loaded(fields) {
  const state = new State(ME);
  state.load({ epoch: 'e', user_seq: 4 }, [conversation({ last_seq: 3, last_message: message(3), ...fields })]);
  const open = state.get('c1');
  open.timeline.startLatest();
  open.timeline.addPage({ items: [message(1), message(2), message(3)], next_cursor: null });
  return state;
}

const texts = (state) =>
  state
    .get('c1')
    .timeline.list()
    .map((m) => m.content);

test('the next event is applied and moves the cursor', () => {
  const state = loaded();
  const effects = state.apply(created(4));
  assert.deepEqual(
    effects.map((e) => e.type),
    ['arrived'],
  );
  assert.equal(state.get('c1').cursor, 4);
  assert.deepEqual(texts(state), ['text 1', 'text 2', 'text 3', 'text 4']);
});

test('an event that came before is dropped', () => {
  const state = loaded();
  state.apply(created(4));
  assert.deepEqual(state.apply(created(4)), []);
  assert.deepEqual(state.apply(created(2)), []);
  assert.equal(texts(state).length, 4);
  assert.equal(unread(state.get('c1')), 1);
});

test('a hole is asked for once, and what came early is applied after it', () => {
  const state = loaded();
  assert.deepEqual(state.apply(created(5)), [{ type: 'fill', conversation_id: 'c1', after: 3 }]);
  assert.deepEqual(state.apply(created(6)), [], 'asked already');
  assert.equal(state.get('c1').cursor, 3);
  state.filled(changes(3, 5, [message(4), message(5)]));
  assert.equal(state.get('c1').cursor, 6);
  assert.deepEqual(texts(state).slice(3), ['text 4', 'text 5', 'text 6']);
});

test('a hole behind the answer is asked for again, an answer that leads nowhere is not', () => {
  const state = loaded();
  state.apply(created(9));
  assert.deepEqual(state.filled(changes(3, 5, [message(4), message(5)])), [
    { type: 'fill', conversation_id: 'c1', after: 5 },
  ]);
  assert.deepEqual(state.filled(changes(5, 5, [])), [{ type: 'resync', conversation_id: 'c1' }]);
});

test('pages of a gap fill are fetched while there is more', () => {
  const state = loaded();
  state.apply(created(6));
  assert.deepEqual(state.filled(changes(3, 4, [message(4)], true)), [
    { type: 'fill', conversation_id: 'c1', after: 4 },
  ]);
  const effects = state.filled(changes(4, 5, [message(5)]));
  assert.deepEqual(
    effects.map((e) => e.type),
    ['arrived'],
    'what was held is applied, nothing more is asked for',
  );
  assert.equal(state.get('c1').cursor, 6);
});

test('an event that fills the hole by itself makes the answer harmless', () => {
  const state = loaded();
  state.apply(created(5));
  state.apply(created(4));
  assert.equal(state.get('c1').cursor, 5);
  assert.deepEqual(state.filled(changes(3, 4, [message(4)])), []);
  assert.deepEqual(
    texts(state),
    [1, 2, 3, 4, 5].map((n) => `text ${n}`),
  );
});

test('a changes frame moves the cursor in one step, over places where nothing is left', () => {
  const state = loaded();
  state.apply(changes(3, 9, [message(2, { changed_seq: 6, content: 'edited' }), message(8, { number: 4 })]));
  assert.equal(state.get('c1').cursor, 9);
  assert.deepEqual(texts(state), ['text 1', 'edited', 'text 3', 'text 8']);
  assert.equal(unread(state.get('c1')), 1);
});

test('a changes frame that overlaps what is known changes nothing twice', () => {
  const state = loaded();
  state.apply(created(4));
  state.apply(changes(2, 5, [message(3), message(4), message(5)]));
  assert.deepEqual(
    texts(state),
    [1, 2, 3, 4, 5].map((n) => `text ${n}`),
  );
  assert.equal(unread(state.get('c1')), 2);
});

test('a changes frame from after the cursor is a hole', () => {
  const state = loaded();
  assert.deepEqual(state.apply(changes(7, 9, [message(9)])), [{ type: 'fill', conversation_id: 'c1', after: 3 }]);
  assert.equal(state.get('c1').cursor, 3);
});

test('an edit and a deletion replace the message in its place', () => {
  const state = loaded();
  state.apply(edited(2, 4, 'better'));
  assert.deepEqual(texts(state), ['text 1', 'better', 'text 3']);
  const tombstone = { ...message(3), changed_seq: 5, content: '', deleted_at: '2026-11-21T09:00:00.000Z' };
  state.apply({ type: 'message.deleted', conversation_id: 'c1', seq: 5, data: tombstone });
  assert.equal(state.get('c1').timeline.list()[2].deleted_at, tombstone.deleted_at);
  assert.equal(state.get('c1').info.last_message.deleted_at, tombstone.deleted_at, 'the preview too');
  assert.equal(unread(state.get('c1')), 0, 'a change is not a message');
});

test('unread is derived from numbers: system messages and my own do not count', () => {
  const state = loaded();
  state.apply(created(4, { number: 4 }));
  const added = { type: 'participant.added', users: [sender('user-x')] };
  state.apply(created(5, { number: 4, kind: 'system', content: '', system: added }));
  assert.equal(unread(state.get('c1')), 1);
  assert.equal(state.get('c1').info.participant_count, 3);
  state.apply(created(6, { number: 5, sender: sender(ME) }));
  assert.equal(unread(state.get('c1')), 0, 'sending reads');
});

test('a marker moved in another tab clears the badge; one that is not understood is looked up', () => {
  const state = loaded();
  state.apply(created(4));
  state.apply(created(5));
  const receipt = (read_seq) => ({
    type: 'receipt.updated',
    data: { conversation_id: 'c1', user_id: ME, delivered_seq: 0, read_seq },
  });
  state.apply(receipt(4));
  assert.equal(unread(state.get('c1')), 1);
  state.apply(receipt(5));
  assert.equal(unread(state.get('c1')), 0);
  state.apply(receipt(4));
  assert.equal(unread(state.get('c1')), 0, 'markers only move forward');

  const closed = new State(ME);
  closed.load({ epoch: 'e', user_seq: 0 }, [
    conversation({ last_seq: 9, last_message: message(9), unread_count: 5, read_seq: 4 }),
  ]);
  assert.deepEqual(closed.apply(receipt(6)), [{ type: 'fetch', conversation_id: 'c1' }]);
  closed.counted(conversation({ last_seq: 9, last_message: message(9), unread_count: 3, read_seq: 6 }));
  assert.equal(unread(closed.get('c1')), 3);
});

test('ticks: stored, delivered, read by some and read by all', () => {
  const state = loaded({ participant_count: 3 });
  const receipt = (user_id, delivered_seq, read_seq) =>
    state.apply({
      type: 'receipt.updated',
      conversation_id: 'c1',
      data: { conversation_id: 'c1', user_id, delivered_seq, read_seq, read_number: read_seq },
    });
  const told = (seq) => progress(state.get('c1'), seq, ME);
  assert.deepEqual(told(3), { state: 'sent', readers: 0, others: 2 });
  receipt(ADA, 3, 0);
  assert.equal(told(3).state, 'sent', 'one of two has it');
  receipt('user-ben', 3, 0);
  assert.equal(told(3).state, 'delivered');
  receipt(ADA, 3, 2);
  assert.deepEqual(told(2), { state: 'delivered', readers: 1, others: 2 });
  receipt('user-ben', 3, 3);
  receipt(ME, 3, 3);
  assert.deepEqual(told(2), { state: 'read', readers: 2, others: 2 });
  assert.deepEqual(told(3), { state: 'delivered', readers: 1, others: 2 });
});

test('a conversation comes and goes with the feed', () => {
  const state = loaded();
  const data = conversation({ id: 'c2', last_seq: 1, last_activity_at: '2026-11-21T10:00:00.000Z' });
  state.apply({ type: 'conversation.created', user_seq: 5, data });
  assert.deepEqual(
    state.list().map((c) => c.info.id),
    ['c2', 'c1'],
  );
  assert.equal(state.resume().user_seq, 5);
  const [effect] = state.apply({
    type: 'participant.removed',
    user_seq: 6,
    data: { conversation_id: 'c2', user_id: ME },
  });
  assert.equal(effect.type, 'left');
  assert.equal(state.get('c2'), null);
  assert.deepEqual(state.apply(created(2, { conversation_id: 'c2' })), [], 'what was on its way is no news');
  assert.deepEqual(state.resume(), { epoch: 'e', user_seq: 6, cursors: { c1: 3 }, announcement_seq: 0 });
});

test('the event of my own removal ends it, before the feed says so', () => {
  const state = loaded();
  const system = { type: 'participant.removed', user: sender(ME) };
  const effects = state.apply(created(4, { number: 3, kind: 'system', content: '', system }));
  assert.deepEqual(
    effects.map((e) => e.type),
    ['left'],
  );
  const told = { type: 'participant.removed', user_seq: 5, data: { conversation_id: 'c1', user_id: ME } };
  assert.deepEqual(state.apply(told), []);
});

test('the answer to creating a conversation and its event, in either order, are one', () => {
  const state = loaded();
  const info = conversation({ id: 'c2', last_seq: 1, last_message: message(1, { conversation_id: 'c2' }) });
  state.joined(info);
  state.apply(created(2, { conversation_id: 'c2', number: 2 }));
  assert.deepEqual(state.apply({ type: 'conversation.created', user_seq: 5, data: info }), []);
  assert.equal(state.get('c2').cursor, 2);
  assert.equal(unread(state.get('c2')), 1);
});

test('my own message by its reply and by its event is there once', () => {
  const state = loaded();
  const mine = message(4, { sender: sender(ME), client_id: 'k' });
  state.sent(mine);
  assert.equal(state.get('c1').cursor, 3, 'only events move the cursor');
  state.apply({ type: 'message.created', conversation_id: 'c1', seq: 4, data: mine });
  state.sent(mine);
  assert.deepEqual(texts(state), ['text 1', 'text 2', 'text 3', 'text 4']);
  assert.equal(unread(state.get('c1')), 0);
});

test('what nobody told us of is looked up; what a newer server says is ignored', () => {
  const state = loaded();
  assert.deepEqual(state.apply(created(1, { conversation_id: 'c9' })), [{ type: 'fetch', conversation_id: 'c9' }]);
  assert.deepEqual(state.apply({ type: 'parade', data: {} }), []);
});

test('after a resume, heads above the cursor are filled and markers are taken over', () => {
  const state = loaded();
  state.apply(created(6));
  state.forgetPending();
  const receipts = [{ conversation_id: 'c1', user_id: ADA, delivered_seq: 3, read_seq: 3 }];
  assert.deepEqual(state.resumed({ heads: { c1: 6 }, receipts }), [
    { type: 'fill', conversation_id: 'c1', after: 3 },
  ]);
  assert.equal(progress(state.get('c1'), 3, ME).readers, 1);
});

test('the first message of a conversation whose past may not be read counts as one', () => {
  const state = new State(ME);
  state.load({ epoch: 'e', user_seq: 0 }, [conversation({ last_seq: 40, last_number: 30 })]);
  state.apply(created(41, { number: 31 }));
  assert.equal(unread(state.get('c1')), 1);
});

test('somebody new in a public room, where nobody is announced, makes us ask how many there are', () => {
  const state = loaded({ kind: 'public' });
  const data = { conversation_id: 'c1', user_id: ADA, delivered_seq: 3, read_seq: 2 };
  const receipt = { type: 'receipt.updated', conversation_id: 'c1', data };
  assert.deepEqual(state.apply(receipt), [{ type: 'fetch', conversation_id: 'c1' }]);
  assert.deepEqual(state.apply(receipt), []);
  state.counted(conversation({ participant_count: 7 }));
  assert.equal(state.get('c1').info.participant_count, 7);
});
