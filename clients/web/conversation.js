// What this client knows of one conversation, and what follows from its events without asking: unread messages and
// mentions, markers, who types, what a system message changed. Pure.

import { withMine } from './reactions.js';
import { Timeline } from './timeline.js';

/** Above so many people the server keeps no `delivered` and pushes no receipts. */
export const RECEIPTS_MAX = 100;

export function fresh(info) {
  return {
    info: { ...info },
    /** Highest seq up to which nothing is missing. */
    cursor: info.last_seq,
    held: new Map(),
    filling: false,
    /** Markers by user. */
    receipts: otherMarkers(info),
    /** Who types, by user: `{user, until}`. */
    typing: new Map(),
    timeline: new Timeline(),
  };
}

function otherMarkers({ other, other_delivered_seq, other_read_seq }) {
  if (!other) return new Map();
  return new Map([[other.id, { delivered_seq: other_delivered_seq ?? 0, read_seq: other_read_seq ?? 0 }]]);
}

/** Messages after our marker, derived, never counted up. */
export function unread({ info }) {
  return Math.max(0, info.last_number - info.read_number);
}

/** Mentions of us after our marker. */
export function mentioned({ info }) {
  return info.mention_count;
}

export function muted({ info }, now = Date.now()) {
  return info.muted_until !== null && Date.parse(info.muted_until) > now;
}

/**
 * Whether one wants to be told of a message, as the server decides it: the stricter counts, what is set here or for all
 * conversations (`everywhere`). Mentions by name and answers are stored as notifications, by the server.
 */
export function wanted({ info }, everywhere, message, now = Date.now()) {
  const settings = [info, everywhere];
  if (settings.some((each) => each.notify === 'none' || muted({ info: each }, now))) return false;
  return settings.every(({ notify }) => notify === 'all') || message.mentions.some(({ user }) => user === null);
}

/** Whether a message names `me`, by name or as one of all. */
export function names(message, me) {
  if (message.deleted_at || message.sender.id === me) return false;
  return message.mentions.some(({ user }) => user === null || user.id === me);
}

/** How far a message of ours got: `{state: 'sent' | 'delivered' | 'read', readers, others}`. */
export function progress({ receipts, info }, seq, me) {
  let readers = 0;
  let got = 0;
  for (const [user, { read_seq, delivered_seq }] of receipts) {
    if (user === me) continue;
    if (read_seq >= seq) readers += 1;
    if (delivered_seq >= seq || read_seq >= seq) got += 1;
  }
  const others = Math.max(1, info.participant_count - 1);
  const state = readers >= others ? 'read' : got >= others || readers > 0 ? 'delivered' : 'sent';
  return { state, readers, others };
}

/** One message created or changed. `reaction` says what came or went, and whether it came. */
export function note(conversation, message, { isNew, me, reaction = null }) {
  const { info, timeline } = conversation;
  const known = timeline.at(message.seq) ?? (info.last_message?.seq === message.seq ? info.last_message : null);
  const told = withMine(message, { known, me, reaction });
  timeline.put(told, isNew);
  const last = info.last_message;
  if (!last || told.seq > last.seq) {
    info.last_message = told;
    info.last_activity_at = told.created_at;
  } else if (told.seq === last.seq && told.changed_seq > last.changed_seq) {
    info.last_message = told;
  }
  noteMention(info, told, me);
  if (!isNew) return;
  conversation.typing.delete(told.sender.id);
  info.last_number = Math.max(info.last_number, told.number);
  if (told.sender.id !== me || told.kind === 'system') return;
  markRead(conversation, told.seq, told.number);
}

/** Keeps the places of unread mentions; edits and deletions take them away again. */
function noteMention(info, message, me) {
  if (message.seq <= info.read_seq) return;
  const there = info.mention_seqs.includes(message.seq);
  const wanted = names(message, me);
  if (there === wanted) return;
  // Only the first hundred places are told: whether a later one was counted is not known, and stays as it is.
  const untold = info.mention_count > info.mention_seqs.length && message.seq > info.mention_seqs.at(-1);
  if (untold && message.seq !== message.changed_seq) return;
  info.mention_seqs = wanted
    ? [...info.mention_seqs, message.seq].sort((a, b) => a - b)
    : info.mention_seqs.filter((seq) => seq !== message.seq);
  info.mention_count = Math.max(info.mention_seqs.length, info.mention_count + (wanted ? 1 : -1));
}

/** Moves our own marker; false when the unread count that results is not known here. */
export function markRead(conversation, seq, number = null) {
  const { info, timeline } = conversation;
  if (seq <= info.read_seq) return true;
  const all = seq >= (info.last_message?.seq ?? 0);
  const found = all ? info.last_number : (number ?? timeline.list().findLast((m) => m.seq <= seq)?.number);
  if (found === undefined) return false;
  info.read_seq = seq;
  info.read_number = Math.max(info.read_number, found);
  const left = info.mention_seqs.filter((place) => place > seq);
  info.mention_count = all ? 0 : Math.max(left.length, info.mention_count - info.mention_seqs.length + left.length);
  info.mention_seqs = left;
  return true;
}

/** What a participant's marker says; false when our own count has to be asked for. */
export function noteReceipt(conversation, { user_id, delivered_seq, read_seq, read_number }, me) {
  const known = conversation.receipts.get(user_id) ?? { delivered_seq: 0, read_seq: 0 };
  conversation.receipts.set(user_id, {
    delivered_seq: Math.max(known.delivered_seq, delivered_seq),
    read_seq: Math.max(known.read_seq, read_seq),
  });
  return user_id !== me || markRead(conversation, read_seq, read_number ?? null);
}

/** Somebody types, or stopped. */
export function noteTyping(conversation, { user, typing, expires_in_ms }, now) {
  if (typing) conversation.typing.set(user.id, { user, until: now + expires_in_ms });
  else conversation.typing.delete(user.id);
}

/** Who types now. */
export function typists({ typing }, now = Date.now()) {
  return [...typing.values()].filter(({ until }) => until > now).map(({ user }) => user);
}

/** What a system message changed of the conversation itself. */
export function applySystem(conversation, { system, created_at }, me) {
  const { info, receipts } = conversation;
  switch (system?.type) {
    case 'conversation.updated':
      Object.assign(info, system.changes);
      break;
    case 'conversation.archived':
    case 'conversation.deleted':
      info.archived_at ??= created_at;
      break;
    case 'conversation.unarchived':
      info.archived_at = null;
      break;
    case 'participant.added':
      info.participant_count += system.users.length;
      break;
    case 'participant.removed':
      info.participant_count = Math.max(0, info.participant_count - 1);
      receipts.delete(system.user.id);
      break;
    case 'participant.updated':
      if (system.user.id === me) info.role = system.role;
      break;
    default:
  }
}
