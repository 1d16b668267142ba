// Mentions, typing, presence, settings, blocks and announcements follow from events alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mentioned, muted, typists, unread } from '../conversation.js';
import { State } from '../state.js';
import { ADA, conversation, created, edited, ME, message, sender } from './fixtures.js';

function loaded(fields) {
  const state = new State(ME);
  state.load({ epoch: 'e', user_seq: 4 }, [conversation({ last_seq: 3, last_message: message(3), ...fields })]);
  return state;
}

const mention = (user) => [{ offset: 0, length: 3, user }];
const receipt = (read_seq, read_number) => ({
  type: 'receipt.updated',
  conversation_id: 'c1',
  data: { conversation_id: 'c1', user_id: ME, delivered_seq: read_seq, read_seq, read_number },
});

test('a mention by name or of all counts until it is read', () => {
  const state = loaded();
  state.apply(created(4, { mentions: mention(sender(ME)) }));
  state.apply(created(5, { mentions: mention(sender('user-ben')) }));
  state.apply(created(6, { mentions: mention(null) }));
  state.apply(created(7, { mentions: mention(null), sender: sender('user-ben') }));
  assert.deepEqual(state.get('c1').info.mention_seqs, [4, 6, 7]);
  state.apply(receipt(6, 6));
  assert.equal(mentioned(state.get('c1')), 1);
  assert.equal(unread(state.get('c1')), 1);
  state.apply(receipt(7, 7));
  assert.equal(mentioned(state.get('c1')), 0);
});

test('a mention that is edited in counts, one that is deleted does not', () => {
  const state = loaded();
  state.apply(created(4));
  const event = edited(4, 5, '@me');
  state.apply({ ...event, data: { ...event.data, mentions: mention(sender(ME)) } });
  assert.equal(mentioned(state.get('c1')), 1);
  const gone = message(4, { changed_seq: 6, content: '', deleted_at: '2026-11-21T09:00:00.000Z' });
  state.apply({ type: 'message.deleted', conversation_id: 'c1', seq: 6, data: gone });
  assert.equal(mentioned(state.get('c1')), 0);
  assert.equal(unread(state.get('c1')), 1, 'a tombstone stays a message');
});

test('our own mention of all is no news', () => {
  const state = loaded();
  state.apply(created(4, { mentions: mention(null), sender: sender(ME) }));
  assert.equal(mentioned(state.get('c1')), 0);
});

test('a marker of ours elsewhere brings the number, so that nothing is asked', () => {
  const state = loaded({ last_seq: 9, last_message: message(9), unread_count: 5, read_seq: 4 });
  assert.deepEqual(state.apply(receipt(6, 6)), []);
  assert.equal(unread(state.get('c1')), 3);
});

test('who types is forgotten after a while, when they stop, and when they send', () => {
  const state = loaded();
  const typing = (id, on) => ({
    type: 'typing',
    conversation_id: 'c1',
    data: { user: sender(id), typing: on, expires_in_ms: on ? 5000 : 0 },
  });
  const now = 1000;
  const names = (at) => typists(state.get('c1'), at).map(({ id }) => id);
  assert.deepEqual(state.apply(typing(ADA, true), now), [{ type: 'typing', conversation_id: 'c1', until: 6000 }]);
  assert.deepEqual(names(5999), [ADA]);
  assert.deepEqual(names(6000), []);
  state.apply(typing(ADA, false), now);
  assert.deepEqual(names(now), []);
  state.apply(typing(ADA, true), now);
  state.apply(created(4));
  assert.deepEqual(names(now), [], 'they sent it');
  state.apply(typing(ME, true), now);
  assert.deepEqual(names(now), [], 'I know that I type');
});

test('presence is the last that was told', () => {
  const other_presence = { user_id: ADA, state: 'online', last_seen_at: null };
  const state = loaded({ kind: 'direct', other: { id: ADA }, other_presence });
  assert.equal(state.presence.get(ADA).state, 'online');
  const data = { user_id: ADA, state: 'offline', last_seen_at: '2026-11-21T09:00:00.000Z' };
  state.apply({ type: 'presence.updated', data });
  assert.deepEqual(state.presence.get(ADA), data);
});

test('a muted conversation leaves the total, its mentions do not; a pinned one comes first', () => {
  const state = loaded();
  state.apply(created(4, { mentions: mention(sender(ME)) }));
  state.apply(created(5));
  const data = conversation({ id: 'c2', last_seq: 1, last_activity_at: '2026-11-21T10:00:00.000Z' });
  state.apply({ type: 'conversation.created', user_seq: 5, data });
  assert.equal(state.unreadTotal(), 2);
  const settings = { conversation_id: 'c1', notify: 'all', muted_until: '9999-01-01T00:00:00.000Z', pinned_at: null };
  state.apply({ type: 'preferences.updated', user_seq: 6, data: settings });
  assert.equal(muted(state.get('c1')), true);
  assert.equal(state.unreadTotal(), 1);
  assert.equal(state.list()[0].info.id, 'c2');
  const pinned = { ...settings, muted_until: null, pinned_at: '2026-11-21T11:00:00.000Z' };
  state.apply({ type: 'preferences.updated', user_seq: 7, data: pinned });
  assert.equal(state.list()[0].info.id, 'c1');
  assert.equal(state.resume().user_seq, 7);
});

test('blocks come and go with the feed', () => {
  const state = loaded();
  state.aside(state.askAside(), { blocks: [sender(ADA)] });
  state.apply({ type: 'user.blocked', user_seq: 5, data: { user_id: 'user-ben' } });
  state.apply({ type: 'user.unblocked', user_seq: 6, data: { user_id: ADA } });
  assert.deepEqual([...state.blocked], ['user-ben']);
});

test('announcements are shown once, until they are read', () => {
  const state = loaded();
  const news = (seq) => ({ id: `a${seq}`, seq, title: `News ${seq}`, content: 'x' });
  state.aside(state.askAside(), { announcements: { items: [news(3), news(2), news(1)], read_seq: 1 } });
  assert.deepEqual(
    state.announcements.map(({ seq }) => seq),
    [2, 3],
  );
  assert.deepEqual(state.apply({ type: 'announcement', data: news(3) }), []);
  state.apply({ type: 'announcement', data: news(4) });
  assert.equal(state.resume().announcement_seq, 4);
  state.apply({ type: 'announcements.read', data: { read_seq: 4 } });
  assert.deepEqual(state.announcements, []);
});

test('what comes while REST answers is newer than the answer, of each kind', () => {
  const state = loaded();
  const news = (seq) => ({ id: `a${seq}`, seq, title: `News ${seq}`, content: 'x' });
  const asked = state.askAside();
  const effects = [
    { type: 'announcement', data: news(2) },
    { type: 'announcement', data: news(3) },
    { type: 'announcements.read', data: { read_seq: 2 } },
    { type: 'user.unblocked', user_seq: 5, data: { user_id: ADA } },
    { type: 'user.blocked', user_seq: 6, data: { user_id: 'user-ben' } },
    { type: 'notification_preferences.updated', user_seq: 7, data: { notify: 'none', muted_until: null } },
  ].flatMap((frame) => state.apply(frame));
  state.aside(asked, {
    blocks: [sender(ADA)],
    announcements: { items: [news(1)], read_seq: 0 },
    preferred: { notify: 'all', muted_until: null },
  });
  assert.deepEqual(
    state.announcements.map(({ seq }) => seq),
    [3],
  );
  assert.deepEqual([...state.blocked], ['user-ben']);
  assert.equal(state.preferred.notify, 'none');
  assert.deepEqual(
    effects.map(({ announcement }) => announcement.seq),
    [2, 3],
    'each was told of once',
  );
});

test('an answer to an earlier question changes nothing, nor does what REST did not tell', () => {
  const state = loaded();
  const first = state.askAside();
  const second = state.askAside();
  state.apply({ type: 'user.blocked', user_seq: 5, data: { user_id: ADA } });
  assert.equal(state.aside(first, { blocks: [sender('user-ben')] }), false);
  assert.equal(state.aside(second, {}), true);
  assert.equal(state.aside(first, { blocks: [] }), false);
  assert.deepEqual([...state.blocked], [ADA]);
  assert.deepEqual(state.preferred, { notify: 'all', muted_until: null });
});

test('what another device read is no longer shown', () => {
  const state = loaded();
  state.apply({ type: 'announcement', data: { id: 'a1', seq: 1, title: 'News', content: 'x' } });
  state.apply({ type: 'announcements.read', data: { read_seq: 1 } });
  assert.deepEqual(state.announcements, []);
});

test('a new name is shown wherever somebody is', () => {
  const other = { ...sender(ADA), status_text: null };
  const state = loaded({ kind: 'direct', other });
  state.apply({ type: 'user.updated', data: { ...other, display_name: 'Countess', status_text: 'busy' } });
  const { info } = state.get('c1');
  assert.deepEqual([info.other.display_name, info.other.status_text], ['Countess', 'busy']);
});

test('the archive and roles follow from system messages, and who is removed takes their marker along', () => {
  const state = loaded({ participant_count: 3 });
  const { info, receipts } = state.get('c1');
  const said = (seq, system) => state.apply(created(seq, { kind: 'system', number: 3, content: '', system }));
  receipts.set(ADA, { delivered_seq: 3, read_seq: 3 });
  said(4, { type: 'conversation.archived' });
  assert.notEqual(info.archived_at, null);
  said(5, { type: 'conversation.unarchived' });
  assert.equal(info.archived_at, null);
  said(6, { type: 'participant.updated', user: sender(ME), role: 'admin' });
  assert.equal(info.role, 'admin');
  said(7, { type: 'participant.removed', user: sender(ADA) });
  assert.equal(receipts.has(ADA), false);
  assert.equal(info.participant_count, 2);
});
