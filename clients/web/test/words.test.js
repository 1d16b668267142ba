// What people read: system lines, previews, names; and which closes are final.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  clockTime,
  conversationName,
  count,
  dayName,
  initials,
  listTime,
  placeName,
  presenceText,
  preview,
  systemText,
  typingText,
} from '../format.js';
import { candidates, mentionAt } from '../mentions.js';
import { backoff, shouldReconnect } from '../socket.js';
import { ADA, ME, message, sender } from './fixtures.js';

const says = (system, by = ADA) => systemText(message(1, { kind: 'system', system, sender: sender(by) }), ME);

test('system messages are sentences', () => {
  const users = (...ids) => ids.map(sender);
  assert.equal(says({ type: 'participant.added', users: users('Ben', ME) }), 'user-ada added Ben and you');
  assert.equal(says({ type: 'participant.added', users: users(ADA) }), 'user-ada joined');
  assert.equal(
    says({ type: 'participant.added', users: users('A', 'B', 'C', 'D', 'E') }),
    'user-ada added A, B, C and 2 others',
  );
  assert.equal(says({ type: 'participant.removed', user: sender(ME) }, ME), 'You left');
  assert.equal(says({ type: 'participant.removed', user: sender('Ben') }), 'user-ada removed Ben');
  assert.equal(
    says({ type: 'participant.updated', user: sender(ME), role: 'admin' }),
    'user-ada made you an admin',
  );
  assert.equal(
    says({ type: 'conversation.created', users: users(ADA, 'Ben') }),
    'user-ada started this conversation with Ben',
  );
  assert.equal(says({ type: 'conversation.updated', changes: { title: 'X' } }, ME), 'You changed the title to “X”');
  assert.equal(says({ type: 'something.new' }), 'user-ada changed this conversation');
});

test('previews say who, except the other one in a direct conversation', () => {
  assert.equal(preview(message(1, { content: 'a\n b' }), ME, 'group'), 'user-ada: a b');
  assert.equal(preview(message(1), ME, 'direct'), 'text 1');
  assert.equal(preview(message(1, { sender: sender(ME) }), ME, 'direct'), 'You: text 1');
  assert.equal(preview(message(1, { deleted_at: 'x' }), ME, 'direct'), 'Message deleted');
  assert.equal(preview(null, ME, 'group'), '');
});

test('names are made of what there is', () => {
  assert.equal(conversationName({ kind: 'direct', other: { display_name: 'Ada' } }), 'Ada');
  assert.equal(conversationName({ kind: 'group', title: null }), 'Untitled');
  assert.equal(initials('Ada King-Noel'), 'AN');
  assert.equal(initials('  '), '?');
  assert.equal(initials('😀 x'), '😀X');
  assert.equal(count(1, 'member'), '1 member');
  assert.equal(count(0, 'member'), '0 members');
});

test('days have names, and times in the list are short', () => {
  const now = new Date(2026, 10, 21, 9, 30);
  const at = (...date) => new Date(...date).toISOString();
  assert.equal(dayName(at(2026, 10, 21, 0, 1), now), 'Today');
  assert.equal(dayName(at(2026, 10, 20, 23, 59), now), 'Yesterday');
  assert.match(dayName(at(2026, 10, 19), now), /19/);
  assert.doesNotMatch(dayName(at(2026, 10, 19), now), /2026/);
  assert.match(dayName(at(2025, 10, 21), now), /2025/);
  assert.equal(dayName(at(2026, 1, 28), new Date(2026, 2, 1)), 'Yesterday');
  assert.equal(listTime(at(2026, 10, 21, 0, 1), now), clockTime(at(2026, 10, 21, 0, 1)));
  assert.match(listTime(at(2026, 10, 20), now), /20/);
  assert.match(listTime(at(2025, 10, 20), now), /25/);
});

test('a conversation with one person about something says so where it stands alone', () => {
  const flat = { kind: 'direct', other: { display_name: 'Ada' }, subject: { title: 'Flat' } };
  assert.equal(placeName(flat), 'Ada · Flat');
  assert.equal(placeName({ ...flat, subject: null }), 'Ada');
});

test('presence and typing in words', () => {
  const now = new Date('2026-11-21T12:00:00.000Z');
  const offline = (last_seen_at) => presenceText({ state: 'offline', last_seen_at }, now);
  assert.equal(presenceText(undefined), '');
  assert.equal(presenceText({ state: 'away', last_seen_at: null }), 'away');
  assert.equal(offline('2026-11-21T11:59:30.000Z'), 'last seen just now');
  assert.equal(offline('2026-11-21T11:48:00.000Z'), 'last seen 12 min ago');
  assert.equal(offline(null), 'offline');
  const people = ['Ada', 'Ben', 'Cleo', 'Dan'].map(sender);
  assert.equal(typingText([], 'group'), '');
  assert.equal(typingText(people.slice(0, 1), 'direct'), 'typing…');
  assert.equal(typingText(people.slice(0, 1), 'group'), 'Ada is typing…');
  assert.equal(typingText(people.slice(0, 3), 'group'), 'Ada, Ben and Cleo are typing…');
  assert.equal(typingText(people, 'group'), 'Several people are typing…');
});

test('an @ that begins a word looks for people by username and by each part of their name', () => {
  assert.deepEqual(mentionAt('hello @Be', 9), { from: 6, word: 'be' });
  assert.deepEqual(mentionAt('@', 1), { from: 0, word: '' });
  assert.equal(mentionAt('mail@be', 7), null);
  assert.equal(mentionAt('@ben is', 7), null);
  const people = [
    { username: 'ben', display_name: 'Benjamin' },
    { username: 'x1', display_name: 'Ada Berg' },
    { username: 'cleo', display_name: 'Cleo' },
  ];
  const found = (word) => candidates(people, word).map(({ username }) => username);
  assert.deepEqual(found('be'), ['ben', 'x1']);
  assert.deepEqual(found('cl'), ['cleo']);
  assert.deepEqual(found('zz'), []);
});

test('the range of a close code says whether to come back', () => {
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 4000, 4003, 4499])
    assert.equal(shouldReconnect(code), true, `${code}`);
  for (const code of [1002, 1003, 1007, 1008, 1009, 4500, 4504, 4999])
    assert.equal(shouldReconnect(code), false, `${code}`);
});

test('the wait is drawn from a bound that grows and ends', () => {
  assert.equal(
    backoff(0, () => 1),
    500,
  );
  assert.equal(
    backoff(3, () => 1),
    4000,
  );
  assert.equal(
    backoff(50, () => 1),
    15_000,
  );
  assert.equal(
    backoff(3, () => 0),
    0,
  );
});
