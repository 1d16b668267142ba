// Loaded messages stay whole and current though pages and events overtake each other.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Timeline } from '../timeline.js';
import { message } from './fixtures.js';

const seqs = (timeline) => timeline.list().map((m) => m.seq);

test('nothing is kept of a conversation that was not opened', () => {
  const timeline = new Timeline();
  timeline.put(message(7), true);
  assert.deepEqual(seqs(timeline), []);
});

test('a message that arrives while the page is on its way is kept', () => {
  const timeline = new Timeline();
  timeline.startLatest();
  timeline.put(message(7), true);
  timeline.addPage({ items: [message(5), message(6)], next_cursor: '5' });
  assert.deepEqual(seqs(timeline), [5, 6, 7]);
  assert.equal(timeline.complete, false);
});

test('an edit that overtakes the page of its message wins', () => {
  const timeline = new Timeline();
  timeline.startLatest();
  timeline.addPage({ items: [message(5)], next_cursor: '5' });
  timeline.startOlder();
  timeline.put(message(3, { changed_seq: 9, content: 'edited' }), false);
  timeline.put(message(1, { changed_seq: 10, content: 'not in the page' }), false);
  timeline.addPage({ items: [message(3), message(4)], next_cursor: null });
  assert.deepEqual(seqs(timeline), [3, 4, 5]);
  assert.equal(timeline.list()[0].content, 'edited');
  assert.equal(timeline.complete, true);
});

test('an older state never replaces a newer one', () => {
  const timeline = new Timeline();
  timeline.startLatest();
  timeline.addPage({ items: [message(5, { changed_seq: 8, content: 'new' })], next_cursor: null });
  timeline.put(message(5), true);
  timeline.addPage({ items: [message(5)], next_cursor: null });
  assert.equal(timeline.list()[0].content, 'new');
});

test('a page that did not come can be asked for again', () => {
  const timeline = new Timeline();
  timeline.startLatest();
  timeline.put(message(7), true);
  timeline.failed();
  assert.equal(timeline.status, 'empty');
  assert.deepEqual(seqs(timeline), [], 'or there would be a hole below it');
});

test('replies in a thread are known beside a window, and counted once', () => {
  const timeline = new Timeline();
  timeline.startAround();
  timeline.addAround({ items: [message(10), message(11)], next_cursor: 'x' }, 100);
  const root = timeline.at(10);
  const reply = (seq) => message(seq, { thread_root_id: root.id });
  timeline.put(reply(101), true);
  timeline.put(message(102), true);
  assert.deepEqual([...timeline.elsewhere.keys()], [reply(101).id]);
  assert.equal(timeline.threadOf(root).reply_count, 1);
  timeline.put(reply(103), true);
  assert.deepEqual([timeline.threadOf(root).reply_count, timeline.threadOf(root).last_reply_seq], [2, 103]);
  timeline.startNewer();
  timeline.addNewer({ items: [reply(101), message(102), reply(103)], next_cursor: null });
  assert.equal(timeline.threadOf(root).reply_count, 2);
});
