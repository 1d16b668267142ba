// Turns wire values into words: names, times, what a system message says. Pure; no DOM, no state.

/** So many files are named in a line. */
const NAMED_MAX = 3;

const sameDay = (a, b) => a.toDateString() === b.toDateString();

/** `14:05` in the reader's locale. */
export function clockTime(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

/** The heading over a day's messages. */
export function dayName(iso, now = new Date()) {
  const date = new Date(iso);
  const yesterday = new Date(now);
  yesterday.setDate(now.getDate() - 1);
  if (sameDay(date, now)) return 'Today';
  if (sameDay(date, yesterday)) return 'Yesterday';
  const year = date.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return date.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year });
}

/** Short, for the list: a time today, else a date. */
export function listTime(iso, now = new Date()) {
  const date = new Date(iso);
  if (sameDay(date, now)) return clockTime(iso);
  const year = date.getFullYear() === now.getFullYear() ? undefined : '2-digit';
  return date.toLocaleDateString([], { day: 'numeric', month: 'short', year });
}

/** `online`, `away`, `last seen 5 min ago`; nothing where it is not known. */
export function presenceText(presence, now = new Date()) {
  if (!presence) return '';
  if (presence.state !== 'offline') return presence.state;
  const at = presence.last_seen_at;
  if (!at) return 'offline';
  const minutes = Math.floor((now - new Date(at)) / 60_000);
  if (minutes < 1) return 'last seen just now';
  if (minutes < 60) return `last seen ${minutes} min ago`;
  return sameDay(new Date(at), now) ? `last seen at ${clockTime(at)}` : `last seen ${listTime(at, now)}`;
}

/** Who types; in a conversation of two it is clear who. */
export function typingText(users, kind) {
  if (!users.length) return '';
  if (kind === 'direct') return 'typing…';
  if (users.length > 3) return 'Several people are typing…';
  const list = users.map(({ display_name }) => display_name);
  return `${words(list)} ${users.length === 1 ? 'is' : 'are'} typing…`;
}

/** What to call a conversation. */
export function conversationName(conversation) {
  if (conversation.kind === 'direct') return conversation.other?.display_name ?? 'Direct message';
  return conversation.title ?? 'Untitled';
}

/** The same where it stands alone: two conversations with one person are about different things. */
export function placeName(conversation) {
  const { subject } = conversation;
  return subject ? `${conversationName(conversation)} · ${subject.title}` : conversationName(conversation);
}

/** One or two letters for an avatar. */
export function initials(name) {
  const words = name
    .trim()
    .split(/[\s._-]+/u)
    .filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0] ?? '?'];
  return letters
    .map((word) => [...word][0])
    .join('')
    .toUpperCase();
}

/** A stable number from 0 to 7 for an avatar's colour. */
export function hue(id) {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return sum % 8;
}

/** `3 members`, `1 member`. */
export function count(n, word) {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

function names(users, me) {
  const list = users.map((user) => (user.id === me ? 'you' : user.display_name));
  if (list.length > 4) return `${list.slice(0, 3).join(', ')} and ${list.length - 3} others`;
  return words(list);
}

/** `a, b and c`. */
function words(list) {
  return list.length < 2 ? list.join('') : `${list.slice(0, -1).join(', ')} and ${list.at(-1)}`;
}

/** The sentence of a system message, as `me` reads it. */
export function systemText(message, me) {
  const { sender, system } = message;
  const who = sender.id === me ? 'You' : sender.display_name;
  switch (system?.type) {
    case 'conversation.created': {
      const others = (system.users ?? []).filter((user) => user.id !== sender.id);
      return others.length
        ? `${who} started this conversation with ${names(others, me)}`
        : `${who} created this room`;
    }
    case 'conversation.updated': {
      const changes = system.changes ?? {};
      if (changes.title) return `${who} changed the title to “${changes.title}”`;
      if ('description' in changes) return `${who} changed the description`;
      if (changes.posting === 'admins') return `${who} let only admins post`;
      if (changes.posting === 'everyone') return `${who} let everyone post`;
      if (changes.slow_mode_seconds === 0) return `${who} turned slow mode off`;
      if (changes.slow_mode_seconds) return `${who} turned slow mode on`;
      return `${who} changed this conversation`;
    }
    case 'conversation.archived':
      return `${who} archived this conversation`;
    case 'conversation.unarchived':
      return `${who} took this conversation out of the archive`;
    case 'conversation.deleted':
      return `${who} closed this conversation`;
    case 'participant.added': {
      const users = system.users ?? [];
      if (users.length === 1 && users[0].id === sender.id) return `${who} joined`;
      return `${who} added ${names(users, me)}`;
    }
    case 'participant.removed':
      return system.user.id === sender.id ? `${who} left` : `${who} removed ${names([system.user], me)}`;
    case 'participant.updated': {
      const role = { owner: 'an owner', admin: 'an admin', member: 'a member' }[system.role] ?? system.role;
      return `${who} made ${names([system.user], me)} ${role}`;
    }
    default:
      return `${who} changed this conversation`;
  }
}

const ONE = { image: 'Photo', video: 'Video', audio: 'Audio', document: 'File' };
const MANY = { image: 'photos', video: 'videos', audio: 'audio files' };

/** `Photo`, `3 photos`, `2 files: report.pdf, plan.pdf`: a word for what goes with a message. */
export function filesText(attachments) {
  if (!attachments?.length) return '';
  const [{ kind }] = attachments;
  const same = attachments.every((other) => other.kind === kind);
  const what =
    attachments.length === 1 ? (ONE[kind] ?? 'File') : `${attachments.length} ${(same && MANY[kind]) || 'files'}`;
  // What cameras call their pictures tells nobody anything.
  const named = attachments.filter((one) => one.kind !== 'image' && one.name).map(({ name }) => name);
  if (!named.length) return what;
  const more = named.length > NAMED_MAX || named.length < attachments.length ? ', …' : '';
  return `${what}: ${named.slice(0, NAMED_MAX).join(', ')}${more}`;
}

/** What a message says, or else what goes with it. */
export function messageText({ content, attachments }) {
  return content || filesText(attachments);
}

/** `1.2 MB`. */
export function fileSize(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = bytes;
  let unit = 0;
  // 999.6 would be shown as 1000.
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 9.95 && unit > 0 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** Why one was notified; `info` is the conversation, null where one is no longer in it. */
export function noticeText({ kind, actor }, info) {
  const direct = info?.kind === 'direct';
  const place = !info ? 'a conversation that you left' : direct ? info.subject?.title : conversationName(info);
  const after = (word) => (place ? ` ${word} ${place}` : '');
  const did = {
    mention: `mentioned you${after('in')}`,
    reply: `answered you${after('in')}`,
    added: direct ? `began a conversation with you${after('about')}` : `added you${after('to')}`,
  };
  return `${actor.display_name} ${did[kind] ?? `did something${after('in')}`}`;
}

/** One line about a message, for the list. */
export function preview(message, me, kind) {
  if (!message) return '';
  if (message.kind === 'system') return systemText(message, me);
  const text = message.deleted_at ? 'Message deleted' : messageText(message).replace(/\s+/gu, ' ');
  if (message.sender.id === me) return `You: ${text}`;
  return kind === 'direct' ? text : `${message.sender.display_name}: ${text}`;
}
