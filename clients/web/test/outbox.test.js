// What was typed is sent once, in order, under one client_id.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outbox } from '../outbox.js';
import { Memory } from './fixtures.js';

/** An outbox whose sends are answered by hand. */
function outbox(storage = new Memory()) {
  const sends = [];
  const sent = [];
  const send = (item) =>
    new Promise((resolve, reject) => sends.push({ id: item.client_id, content: item.content, resolve, reject }));
  const box = new Outbox({ send, sent: (m) => sent.push(m), changed: () => {}, storage, key: 'k' });
  return { box, sends, sent, storage };
}

const settle = () => new Promise((done) => setImmediate(done));
const lost = Object.assign(new Error('lost'), { code: 'connection_lost' });

test('messages of one conversation go one after the other, those of another at once', async () => {
  const { box, sends, sent } = outbox();
  box.setOnline(true);
  box.add('c1', 'first');
  box.add('c1', 'second');
  box.add('c2', 'elsewhere');
  assert.deepEqual(
    sends.map((s) => s.content),
    ['first', 'elsewhere'],
  );
  sends[0].resolve({ content: 'first' });
  await settle();
  assert.deepEqual(
    sends.map((s) => s.content),
    ['first', 'elsewhere', 'second'],
  );
  assert.equal(sent.length, 1);
});

test('a lost connection keeps the message; the retry has the same client_id', async () => {
  const { box, sends } = outbox();
  box.setOnline(true);
  box.add('c1', 'hello');
  box.setOnline(false);
  sends[0].reject(lost);
  await settle();
  assert.equal(box.of('c1')[0].status, 'waiting');
  box.setOnline(true);
  assert.equal(sends.length, 2);
  assert.equal(sends[1].id, sends[0].id);
});

test('a message that comes back as an event is not sent again', async () => {
  const { box, sends } = outbox();
  box.setOnline(true);
  box.add('c1', 'hello');
  box.setOnline(false);
  sends[0].reject(lost);
  await settle();
  box.confirm({ client_id: sends[0].id });
  box.setOnline(true);
  assert.equal(sends.length, 1);
  assert.deepEqual(box.of('c1'), []);
});

test('a refusal is shown and does not hold up what follows; it can be tried again or dropped', async () => {
  const { box, sends } = outbox();
  box.setOnline(true);
  box.add('c1', 'bad');
  box.add('c1', 'good');
  sends[0].reject(Object.assign(new Error('Only admins may post.'), { code: 'posting_restricted' }));
  await settle();
  assert.deepEqual([box.of('c1')[0].status, box.of('c1')[0].error], ['failed', 'Only admins may post.']);
  assert.equal(sends[1].content, 'good');
  sends[1].resolve({});
  await settle();
  box.retry(sends[0].id);
  assert.equal(sends[2].id, sends[0].id);
  sends[2].reject(Object.assign(new Error('No.'), { code: 'forbidden' }));
  await settle();
  box.discard(sends[0].id);
  assert.deepEqual(box.of('c1'), []);
});

test('an overloaded server is asked again after the time it named, and order is kept', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { box, sends } = outbox();
  box.setOnline(true);
  box.add('c1', 'first');
  box.add('c1', 'second');
  sends[0].reject(Object.assign(new Error('full'), { code: 'overloaded', retryAfterMs: 5000 }));
  await settle();
  t.mock.timers.tick(4999);
  assert.equal(sends.length, 1, 'the second waits for the first');
  t.mock.timers.tick(1);
  assert.deepEqual(
    sends.map((s) => s.content),
    ['first', 'first'],
  );
});

test('a reload of the page keeps what was not confirmed', () => {
  const storage = new Memory();
  const first = outbox(storage);
  first.box.setOnline(true);
  first.box.add('c1', 'on its way');
  const second = outbox(storage);
  second.box.setOnline(true);
  assert.equal(second.sends[0].id, first.sends[0].id);
});
