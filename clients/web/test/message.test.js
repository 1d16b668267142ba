// When a line of a chat has to be drawn again: whenever something that it shows is different.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { lines } from '../message.js';
import { ME, message, reactions } from './fixtures.js';

/** What one knows besides the messages, where these people are known. */
const view = (names = {}) => ({
  me: ME,
  kind: 'public',
  may: 'member public',
  quoteOf: () => null,
  threadOf: () => null,
  progressOf: () => null,
  nameOf: (id) => names[id],
  isBlocked: () => false,
  actions: {},
});
const stamp = (fields, names) => lines({ messages: [message(1, fields)], pending: [], view: view(names) }).at(-1).stamp;

test('a line is drawn again when a name of those who reacted becomes known', () => {
  const liked = { reactions: reactions(['👍', 'ben']) };
  assert.notEqual(stamp(liked), stamp(liked, { ben: 'Ben' }));
  assert.equal(stamp(liked, { ben: 'Ben' }), stamp(liked, { ben: 'Ben', cleo: 'Cleo' }));
});

test('a line is drawn again when its reactions or its text change, and not else', () => {
  assert.equal(stamp({}), stamp({}));
  assert.notEqual(stamp({}), stamp({ reactions: reactions(['👍', 'ben']) }));
  assert.notEqual(stamp({}), stamp({ changed_seq: 2, content: 'edited' }));
});
