// Wire values for the tests, with the fields that clients rely on.

export const ME = 'user-me';
export const ADA = 'user-ada';

/** As much of a browser's storage as is used. */
export class Memory {
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
  removeItem(key) {
    this.items.delete(key);
  }
}

export function sender(id) {
  return { id, username: id, display_name: id, avatar_url: null };
}

/** A text by Ada at this place. */
export function message(seq, fields = {}) {
  return {
    id: `message-${fields.conversation_id ?? 'c1'}-${seq}`,
    conversation_id: 'c1',
    seq,
    changed_seq: seq,
    number: seq,
    kind: 'text',
    sender: sender(ADA),
    content: `text ${seq}`,
    system: null,
    client_id: null,
    reply_to: null,
    mentions: [],
    reactions: [],
    attachments: [],
    thread: null,
    thread_root_id: null,
    pinned_at: null,
    edited_at: null,
    deleted_at: null,
    created_at: `2026-11-21T08:00:${String(seq % 60).padStart(2, '0')}.000Z`,
    ...fields,
  };
}

export function created(seq, fields) {
  const data = message(seq, fields);
  return { type: 'message.created', conversation_id: data.conversation_id, seq, data };
}

/** The message at `place`, edited by the change `seq`. */
export function edited(place, seq, content) {
  const data = message(place, { changed_seq: seq, content, edited_at: '2026-11-21T09:00:00.000Z' });
  return { type: 'message.updated', conversation_id: 'c1', seq, data };
}

/** What is under a message: `emoji` by these people. */
export function reactions(...entries) {
  return entries.map(([emoji, ...user_ids]) => ({ emoji, count: user_ids.length, user_ids }));
}

/** Somebody reacted to the message at `place`, or took it back, by the change `seq`. */
export function reacted(type, place, seq, emoji, user_id, left) {
  const data = { ...message(place, { changed_seq: seq, reactions: left }), reaction: { emoji, user_id } };
  return { type, conversation_id: 'c1', seq, data };
}

/** A `changes` frame of these messages. */
export function changes(from, to, messages, more = false) {
  return {
    type: 'changes',
    conversation_id: 'c1',
    from,
    to,
    more,
    changes: messages.map((data) => ({
      type: data.seq > from ? 'message.created' : 'message.updated',
      seq: data.changed_seq,
      data,
    })),
  };
}

export function conversation(fields = {}) {
  const last_number = fields.last_number ?? fields.last_message?.number ?? 0;
  return {
    id: 'c1',
    kind: 'group',
    title: 'Title',
    description: null,
    other: null,
    role: 'member',
    posting: 'everyone',
    participant_count: 2,
    last_seq: 0,
    last_message: null,
    last_activity_at: '2026-11-21T07:00:00.000Z',
    unread_count: 0,
    mention_count: 0,
    mention_seqs: [],
    last_number,
    read_number: last_number - (fields.unread_count ?? 0),
    read_seq: 0,
    muted_until: null,
    notify: 'all',
    pinned_at: null,
    other_delivered_seq: null,
    other_read_seq: null,
    other_presence: null,
    archived_at: null,
    created_at: '2026-11-21T07:00:00.000Z',
    ...fields,
  };
}
