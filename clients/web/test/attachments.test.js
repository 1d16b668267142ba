// Files beside messages in words, and which addresses of others a page may link to, show or play.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { place } from '../attachments.js';
import { fileSize, filesText, preview } from '../format.js';
import { mediaAddress, nameInAddress, pictureAddress, webAddress } from '../links.js';
import { Timeline } from '../timeline.js';
import { ME, message, sender } from './fixtures.js';

const of = (kind, name) => ({ kind, name, url: 'https://files.example/x' });
const HERE = 'http://chat.example';

test('a message without text says what goes with it', () => {
  const only = (...attachments) => preview(message(1, { content: '', attachments }), ME, 'direct');
  assert.equal(only(of('image', 'IMG_2231.jpg')), 'Photo');
  assert.equal(only(of('image'), of('image'), of('image')), '3 photos');
  assert.equal(only(of('document', 'report.pdf')), 'File: report.pdf');
  assert.equal(only(of('document', 'report.pdf'), of('document', 'plan.pdf')), '2 files: report.pdf, plan.pdf');
  assert.equal(only(of('image'), of('document', 'report.pdf')), '2 files: report.pdf, …');
  assert.equal(only(of('video')), 'Video');
  assert.equal(only(of('hologram')), 'File', 'a kind of a newer server');
  const many = ['a', 'b', 'c', 'd'].map((name) => of('document', name));
  assert.equal(filesText(many), '4 files: a, b, c, …');
  const own = message(1, { content: '', attachments: [of('audio')], sender: sender(ME) });
  assert.equal(preview(own, ME, 'direct'), 'You: Audio');
  assert.equal(preview(message(1, { attachments: [of('image')] }), ME, 'direct'), 'text 1');
});

test('sizes are short', () => {
  const sizes = [
    [1, '1 B'],
    [999, '999 B'],
    [999.6, '1.0 kB'],
    [1200, '1.2 kB'],
    [53_000, '53 kB'],
    [4.25e6, '4.3 MB'],
  ];
  for (const [bytes, words] of sizes) assert.equal(fileSize(bytes), words);
});

test('only http and https become links', () => {
  assert.equal(webAddress('https://example.com/a b'), 'https://example.com/a%20b');
  for (const url of [
    'javascript:alert(1)',
    ' JaVaScRiPt:alert(1)',
    'data:text/html,x',
    '/here',
    'ftp://x',
    '',
    null,
    undefined,
  ])
    assert.equal(webAddress(url), null, String(url));
});

test('pictures come over https or from this server; what plays, as the policy lets it', () => {
  assert.equal(pictureAddress('https://files.example/x.png', HERE), 'https://files.example/x.png');
  assert.equal(pictureAddress('http://chat.example/x.png', HERE), 'http://chat.example/x.png');
  for (const url of ['http://files.example/x.png', 'data:image/png;base64,x', 'javascript:x', null])
    assert.equal(pictureAddress(url, HERE), null, String(url));
  assert.equal(mediaAddress('http://chat.example/x.mp4', HERE), 'http://chat.example/x.mp4');
  assert.equal(mediaAddress('https://files.example/x.mp4', HERE, []), null);
  assert.equal(mediaAddress('https://files.example/x.mp4', HERE, ['https:']), 'https://files.example/x.mp4');
  assert.equal(mediaAddress('http://files.example/x.mp4', HERE, ['https:']), null);
});

test('a file that nobody named is called by its address', () => {
  assert.equal(nameInAddress('https://files.example/a/caf%C3%A9.pdf?x=1'), 'café.pdf');
  assert.equal(nameInAddress('https://files.example/a/100%.pdf'), '100%.pdf');
  assert.equal(nameInAddress('https://files.example/'), '');
});

test('a picture has its place before it is there, and none is larger than a bubble', () => {
  assert.deepEqual(place({ width: 800, height: 600 }), { width: 320, height: 240 });
  assert.deepEqual(place({ width: 100, height: 50 }), { width: 100, height: 50 });
  assert.deepEqual(place({ width: 10, height: 100_000 }), { width: 1, height: 320 });
  assert.deepEqual(place({ width: null, height: 600 }), { width: 240, height: 180 });
});

test('a quote says what goes with the quoted message, where that is loaded', () => {
  const timeline = new Timeline();
  timeline.startLatest();
  timeline.addPage({ items: [message(1, { content: '', attachments: [of('image')] })], next_cursor: null });
  const reply_to = { id: 'message-c1-1', seq: 1, sender: sender(ME), content: '', deleted_at: null };
  assert.equal(filesText(timeline.quoteOf({ reply_to }).attachments), 'Photo');
  assert.equal(filesText(timeline.quoteOf({ reply_to: { ...reply_to, seq: 9, id: 'x' } }).attachments), '');
});
