// What is told of the user, and how often.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Signals } from '../signals.js';

function signals(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  const told = [];
  const request = (type, fields) => {
    told.push([type, Object.values(fields)[0]]);
    return Promise.resolve({ items: [] });
  };
  const all = new Signals({ request, present: () => {} });
  all.connected();
  told.length = 0;
  return { all, told, tick: (ms) => t.mock.timers.tick(ms) };
}

test('typing is told at once, then every few seconds while it goes on, then that it stopped', (t) => {
  const { all, told, tick } = signals(t);
  for (let ms = 0; ms < 7000; ms += 100) {
    all.typed('c1');
    tick(100);
  }
  assert.deepEqual(told, Array(3).fill(['typing.start', 'c1']));
  all.stopped();
  all.stopped();
  assert.deepEqual(told.slice(3), [['typing.stop', 'c1']]);
});

test('typing on right after sending is told once the server takes it again', (t) => {
  const { all, told, tick } = signals(t);
  all.typed('c1');
  tick(0);
  all.stopped();
  all.typed('c1');
  tick(3299);
  assert.deepEqual(told.at(-1), ['typing.stop', 'c1']);
  tick(1);
  assert.deepEqual(told.at(-1), ['typing.start', 'c1']);
});

test('a new connection is told anew whom to watch and what is looked at; changes alone after that', (t) => {
  const { all, told } = signals(t);
  all.watch(['a', 'b']);
  all.watch(['b', 'c', 'c']);
  all.inUse(true, 'c1');
  all.inUse(true, 'c1');
  assert.deepEqual(told, [
    ['presence.watch', ['a', 'b']],
    ['presence.unwatch', ['a']],
    ['presence.watch', ['c']],
    ['presence.set', 'active'],
  ]);
  told.length = 0;
  all.lost();
  all.watch(['b']);
  assert.deepEqual(told, []);
  all.connected();
  assert.deepEqual(told, [
    ['presence.watch', ['b']],
    ['presence.set', 'active'],
  ]);
});
