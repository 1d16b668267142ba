// What was begun outlives the page, and no more of it is kept than is good.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Drafts } from '../drafts.js';
import { allPages } from '../pages.js';
import { Memory, message } from './fixtures.js';

const drafts = (storage) => new Drafts({ storage, key: 'k' });
const text = (words) => ({ text: words });

test('a draft is there after a reload, with the id alone of what it answers, and gone once it is sent', () => {
  const storage = new Memory();
  drafts(storage).set('c1', 'c1', { text: 'I was about to', replying: message(3, { content: 'x'.repeat(4000) }) });
  const { text: kept, replying } = drafts(storage).get('c1');
  assert.equal(kept, 'I was about to');
  assert.equal(replying, 'message-c1-3');
  assert.doesNotMatch(storage.items.get('k'), /xx/, 'it may be deleted while nobody looks');
  drafts(storage).set('c1', 'c1', { text: ' ', replying: null });
  assert.equal(drafts(storage).get('c1'), null);
  assert.equal(storage.items.size, 0, 'nothing is left behind');
});

test('two tabs keep each other’s drafts', () => {
  const storage = new Memory();
  const [one, other] = [drafts(storage), drafts(storage)];
  one.set('c1', 'c1', text('here'));
  other.set('c2', 'c2', text('there'));
  one.set('c1', 'c1', text('here too'));
  assert.deepEqual([one.get('c2').text, other.get('c1').text], ['there', 'here too']);
});

test('a conversation that is gone takes the drafts of its threads along', () => {
  const all = drafts(new Memory());
  all.set('c1', 'c1', text('a'));
  all.set('root', 'c1', text('b'));
  all.set('c2', 'c2', text('c'));
  all.forget('c1');
  assert.deepEqual([all.get('c1'), all.get('root'), all.get('c2').text], [null, null, 'c']);
  all.keepOnly(() => false);
  assert.equal(all.get('c2'), null);
});

test('there are so many and so much of them at most, and the oldest go first', () => {
  const storage = new Memory();
  const all = drafts(storage);
  for (let i = 0; i < 60; i += 1) all.set(`c${i}`, `c${i}`, text(`draft ${i}`));
  assert.equal(all.get('c9'), null);
  assert.equal(all.get('c10').text, 'draft 10');
  for (let i = 0; i < 60; i += 1) all.set(`c${i}`, `c${i}`, text('x'.repeat(20_000)));
  assert.ok(storage.items.get('k').length <= 200_000);
  assert.equal(all.get('c59').text.length, 20_000);
  all.set('c59', 'c59', text('x'.repeat(300_000)));
  assert.equal(all.get('c59'), null);
});

test('a browser that keeps nothing keeps drafts for as long as the page is open', () => {
  const full = {
    getItem: () => null,
    setItem: () => {
      throw new Error('full');
    },
    removeItem: () => {},
  };
  const all = drafts(full);
  all.set('c1', 'c1', text('a'));
  all.set('c2', 'c2', text('b'));
  assert.deepEqual([all.get('c1').text, all.get('c2').text], ['a', 'b']);
});

test('in a full storage the oldest give way, and when nothing fits nothing old stays', () => {
  const storage = new Memory();
  const all = drafts(storage);
  const set = storage.setItem.bind(storage);
  let room = 300;
  storage.setItem = (key, value) => {
    if (value.length > room) throw new Error('full');
    set(key, value);
  };
  for (const place of ['c1', 'c2', 'c3']) all.set(place, place, text('x'.repeat(60)));
  assert.deepEqual(['c1', 'c2', 'c3'].map((place) => all.get(place) !== null), [false, true, true]);
  assert.deepEqual(['c1', 'c2', 'c3'].map((place) => drafts(storage).get(place) !== null), [false, true, true]);
  room = 10;
  all.set('c3', 'c3', text('new'));
  assert.deepEqual([all.get('c2').text.length, all.get('c3').text], [60, 'new'], 'as long as the page is open');
  assert.equal(storage.items.size, 0);
});

test('signing out forgets drafts that other pages kept, also where this one could keep none', () => {
  const storage = new Memory();
  const all = drafts(storage);
  const set = storage.setItem.bind(storage);
  storage.setItem = () => {
    throw new Error('full');
  };
  all.set('c1', 'c1', text('a'));
  storage.setItem = set;
  drafts(storage).set('c2', 'c2', text('b'));
  assert.equal(storage.items.size, 1);
  all.clear();
  assert.deepEqual([storage.items.size, all.get('c1')], [0, null]);
});

test('signing out forgets all drafts', () => {
  const storage = new Memory();
  drafts(storage).set('c1', 'c1', text('a'));
  drafts(storage).clear();
  assert.equal(storage.items.size, 0);
});

test('a list is read to its end, or to what one can use', async () => {
  const asked = [];
  const get = async (path, { cursor }) => {
    asked.push(cursor);
    const n = cursor ? Number(cursor) : 0;
    return { items: [n], next_cursor: n < 4 ? String(n + 1) : null };
  };
  assert.deepEqual(await allPages({ get }, '/v1/me/blocks', 1000), { items: [0, 1, 2, 3, 4], whole: true });
  assert.deepEqual(asked, [null, '1', '2', '3', '4']);
  assert.deepEqual(await allPages({ get }, '/v1/me/blocks', 2), { items: [0, 1], whole: false });
});
