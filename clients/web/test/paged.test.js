// Lists that REST tells page by page: the newest question's answer counts, whichever comes last.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Paged } from '../paged.js';

/** A list whose pages are answered by hand. */
function byHand() {
  const asked = [];
  const list = new Paged();
  const ask = (name) => (cursor) =>
    new Promise((resolve, reject) => asked.push({ name, cursor, resolve, reject }));
  return { asked, list, ask };
}
const page = (items, next_cursor = null) => ({ items, next_cursor });

test('pages follow each other to the end', async () => {
  const { asked, list, ask } = byHand();
  const first = list.begin(ask('all'));
  asked[0].resolve(page(['a'], 'x'));
  assert.deepEqual((await first).items, ['a']);
  const second = list.more();
  assert.equal(asked[1].cursor, 'x');
  asked[1].resolve(page(['b']));
  await second;
  assert.deepEqual([list.items, list.cursor], [['a', 'b'], null]);
  assert.equal(await list.more(), null);
  assert.equal(asked.length, 2);
});

test('an earlier question is too old, whether it is answered or refused later', async () => {
  const { asked, list, ask } = byHand();
  const old = [list.begin(ask('all')), list.begin(ask('b'))];
  const now = list.begin(ask('bird'));
  asked[2].resolve(page(['bird']));
  assert.deepEqual((await now).items, ['bird']);
  asked[0].resolve(page(['car'], 'x'));
  asked[1].reject(new Error('away'));
  assert.deepEqual(await Promise.all(old), [null, null]);
  assert.deepEqual([list.items, list.cursor], [['bird'], null]);
});

test('the next page is asked for once, and not after another question', async () => {
  const { asked, list, ask } = byHand();
  const first = list.begin(ask('all'));
  asked[0].resolve(page(['a'], 'x'));
  await first;
  const more = list.more();
  assert.equal(await list.more(), null, 'it is coming');
  const now = list.begin(ask('b'));
  assert.equal(await list.more(), null, 'the first page is coming');
  asked[2].resolve(page(['b'], 'y'));
  await now;
  asked[1].resolve(page(['a2'], 'z'));
  assert.equal(await more, null);
  assert.deepEqual([list.items, list.cursor], [['b'], 'y']);
});

test('a page that did not come can be asked for again', async () => {
  const { asked, list, ask } = byHand();
  const first = list.begin(ask('all'));
  asked[0].resolve(page(['a'], 'x'));
  await first;
  const more = list.more();
  asked[1].reject(new Error('away'));
  await assert.rejects(more, /away/);
  const again = list.more();
  asked[2].resolve(page(['b']));
  await again;
  assert.deepEqual(list.items, ['a', 'b']);
});

test('what is forgotten stays so', async () => {
  const { asked, list, ask } = byHand();
  const first = list.begin(ask('all'));
  list.forget();
  asked[0].resolve(page(['a'], 'x'));
  assert.equal(await first, null);
  assert.deepEqual([list.items, list.cursor], [[], null]);
});

test('the same question again: each answer counts that is newer than what is there', async () => {
  const { asked, list, ask } = byHand();
  const [first, second, third] = ['1', '2', '3'].map((name) => list.begin(ask(name), 'c1'));
  asked[0].resolve(page(['1'], 'x'));
  assert.deepEqual((await first).items, ['1'], 'more questions are no reason to show nothing');
  asked[2].resolve(page(['3'], 'z'));
  assert.deepEqual((await third).items, ['3']);
  asked[1].resolve(page(['2'], 'y'));
  assert.equal(await second, null);
  assert.deepEqual([list.items, list.cursor], [['3'], 'z']);
  const refused = list.begin(ask('4'), 'c1');
  asked[3].reject(new Error('away'));
  await assert.rejects(refused, /away/);
  assert.deepEqual([list.items, list.cursor], [['3'], 'z'], 'it is as true as before');
});

test('of another question that is refused nothing is known, and it has no next page', async () => {
  const { asked, list, ask } = byHand();
  const first = list.begin(ask('a'));
  asked[0].resolve(page(['a'], 'x'));
  await first;
  const other = list.begin(ask('b'));
  asked[1].reject(new Error('away'));
  await assert.rejects(other, /away/);
  assert.deepEqual([list.items, list.cursor, await list.more()], [[], null, null]);
  assert.equal(asked.length, 2);
});
