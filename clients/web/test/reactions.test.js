// Reactions, quotes and threads are what the server would answer, though events do not say all of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { toggled, withMine } from '../reactions.js';
import { State } from '../state.js';
import { Timeline } from '../timeline.js';
import { ADA, conversation, edited, ME, message, reacted, reactions, sender } from './fixtures.js';

function opened(items = [message(1), message(2), message(3)]) {
  const state = new State(ME);
  state.load({ epoch: 'e', user_seq: 0 }, [conversation({ last_seq: 3, last_message: items.at(-1) })]);
  const { timeline } = state.get('c1');
  timeline.startLatest();
  timeline.addPage({ items, next_cursor: null });
  return { state, timeline };
}

const under = (timeline, seq) => timeline.at(seq).reactions.map(({ emoji, count, mine }) => [emoji, count, mine]);

test('a reaction is one step of the conversation, and says whose it is', () => {
  const { state, timeline } = opened();
  state.apply(reacted('reaction.added', 2, 4, '👍', ADA, reactions(['👍', ADA])));
  assert.deepEqual(under(timeline, 2), [['👍', 1, false]]);
  state.apply(reacted('reaction.added', 2, 5, '👍', ME, reactions(['👍', ADA, ME])));
  assert.deepEqual(under(timeline, 2), [['👍', 2, true]]);
  state.apply(reacted('reaction.removed', 2, 6, '👍', ME, reactions(['👍', ADA])));
  assert.deepEqual(under(timeline, 2), [['👍', 1, false]]);
  assert.equal(state.get('c1').cursor, 6);
  assert.equal('reaction' in timeline.at(2), false, 'what changed is no part of the message');
});

test('among more people than are listed, our own reaction is remembered', () => {
  const many = Array.from({ length: 50 }, (_, i) => `user-${i}`);
  const cut = (count, fields) => [{ emoji: '🎉', count, user_ids: many, ...fields }];
  const known = message(2, { reactions: cut(60, { mine: true }) });
  const next = message(2, { reactions: cut(61) });
  assert.equal(withMine(next, { known, me: ME }).reactions[0].mine, true);
  const reaction = { emoji: '🎉', user_id: ME, added: false };
  assert.equal(withMine(next, { known, me: ME, reaction }).reactions[0].mine, false);
  assert.equal(withMine(next, { me: ME }).reactions[0].mine, false, 'nothing is claimed that is not known');
});

test('a click shows at once what the server will answer', () => {
  const start = message(2, { reactions: [] });
  const once = toggled(start, '🔥', ME);
  assert.deepEqual(once.reactions, [{ emoji: '🔥', count: 1, user_ids: [ME], mine: true }]);
  assert.deepEqual(toggled(once, '🔥', ME).reactions, []);
  const others = message(2, { reactions: [{ emoji: '🔥', count: 2, user_ids: [ADA, 'b'], mine: false }] });
  assert.deepEqual(toggled(others, '🔥', ME).reactions[0].count, 3);
});

test('a quote follows the edit and the deletion of what it quotes, loaded or not', () => {
  const quoted = (seq) => {
    const { id, content } = message(seq);
    return { id, seq, content, sender: sender(ADA), deleted_at: null };
  };
  const { state, timeline } = opened([message(2), message(3, { reply_to: quoted(2) })]);
  state.apply(edited(2, 4, 'better'));
  assert.equal(timeline.quoteOf(timeline.at(3)).content, 'better');
  const old = message(3, { reply_to: quoted(1) });
  state.apply(edited(1, 5, 'far above'));
  assert.equal(timeline.quoteOf(old).content, 'far above');
  const gone = message(2, { changed_seq: 6, content: '', deleted_at: 'now' });
  state.apply({ type: 'message.deleted', conversation_id: 'c1', seq: 6, data: gone });
  assert.equal(timeline.quoteOf(timeline.at(3)).deleted_at, 'now');
});

test('a thread counts replies after the last one that the server counted, in whatever order they come', () => {
  const thread = { reply_count: 2, last_reply_seq: 3, last_reply_at: 'then', last_repliers: [sender('user-ben')] };
  const root = message(1, { thread });
  const reply = (seq) => message(seq, { thread_root_id: root.id });
  const { timeline } = opened([root, reply(2), reply(3)]);
  assert.equal(timeline.threadOf(root), thread);
  timeline.put(reply(5), true);
  timeline.put(reply(4), true);
  timeline.put(message(6), true);
  const now = timeline.threadOf(root);
  assert.equal(now.reply_count, 4);
  assert.equal(now.last_reply_seq, 5);
  assert.deepEqual(
    now.last_repliers.map(({ id }) => id),
    [ADA, 'user-ben'],
  );
  const told = message(1, { changed_seq: 7, thread: { ...thread, reply_count: 4, last_reply_seq: 5 } });
  timeline.put(told, false);
  assert.equal(timeline.threadOf(timeline.at(1)).reply_count, 4, 'not counted twice');
});

test('a window around a place grows in both directions and becomes the whole at the head', () => {
  const timeline = new Timeline();
  const seqs = () => timeline.list().map(({ seq }) => seq);
  timeline.startAround();
  timeline.put(message(90), true);
  timeline.addAround({ items: [message(40), message(41), message(42)], next_cursor: '42' }, 90);
  assert.deepEqual(seqs(), [40, 41, 42], 'the newest message would leave a hole');
  assert.equal(timeline.live, false);
  timeline.startOlder();
  timeline.addPage({ items: [message(38), message(39)], next_cursor: null });
  timeline.startNewer();
  timeline.put(message(45), true);
  timeline.addNewer({ items: [message(43), message(44)], next_cursor: null });
  assert.deepEqual(seqs(), [38, 39, 40, 41, 42, 43, 44, 45]);
  assert.equal(timeline.live, true);
  timeline.put(message(46), true);
  assert.equal(seqs().at(-1), 46);
});

test('a window that reaches the head is live at once', () => {
  const timeline = new Timeline();
  timeline.startAround();
  timeline.put(message(4), true);
  timeline.addAround({ items: [message(2), message(3)], next_cursor: null }, 3);
  assert.equal(timeline.live, true);
  assert.equal(timeline.newest(), 4);
});
