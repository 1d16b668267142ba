// The parts of a message's bubble: its text with mentions, the quote above, ticks, reactions and thread below.

import { h, icon } from './dom.js';
import { count, messageText } from './format.js';

/** A message's text; mentions stand out and show the present name. */
export function textOf({ content, mentions }, me) {
  const parts = [];
  let at = 0;
  for (const { offset, length, user } of [...mentions].sort((a, b) => a.offset - b.offset)) {
    if (offset < at) continue;
    parts.push(content.slice(at, offset));
    const mine = user === null || user.id === me;
    const name = user ? `@${user.display_name}` : content.slice(offset, offset + length);
    parts.push(h('span', { class: mine ? 'mention mine' : 'mention' }, name));
    at = offset + length;
  }
  return [...parts, content.slice(at)];
}

/** What a message answers to; leads there. */
export function quoteBlock(quote, me, jump) {
  if (!quote) return null;
  const name = quote.sender.id === me ? 'You' : quote.sender.display_name;
  const text = quote.deleted_at ? 'Message deleted' : messageText(quote) || 'An earlier message';
  return h(
    'button',
    {
      type: 'button',
      class: 'quote',
      'data-focus': 'quote',
      'aria-label': `In reply to ${name}: ${text}. Show it`,
      onclick: () => jump(quote.seq),
    },
    h('span', { class: 'quote-name ellipsis' }, name),
    h('span', { class: 'quote-text ellipsis' }, text),
  );
}

/** ✓ stored, ✓✓ delivered or read by some, blue ✓✓ read by all. */
export function tick({ state, readers, others }) {
  const label = {
    sent: 'Sent',
    delivered: readers ? `Read by ${readers} of ${others}` : 'Delivered',
    read: others > 1 ? `Read by all ${others}` : 'Read',
  }[state];
  return h(
    'span',
    { class: `tick ${state}`, role: 'img', 'aria-label': label, title: label },
    icon(state === 'sent' ? 'check' : 'checks'),
  );
}

/** The emoji under a message, with counts; a click adds or takes back one's own. */
export function reactionChips(message, { react, nameOf }) {
  if (!message.reactions?.length) return null;
  return h(
    'div',
    { class: 'reactions', role: 'group', 'aria-label': 'Reactions' },
    message.reactions.map((reaction) => chip(message, reaction, react, nameOf)),
  );
}

function chip(message, { emoji, count: n, mine, user_ids }, react, nameOf) {
  const known = user_ids.map(nameOf).filter(Boolean);
  const more = n - known.length;
  const who = [...known, more > 0 ? count(more, known.length ? 'other' : 'person') : null].filter(Boolean);
  return h(
    'button',
    {
      type: 'button',
      class: 'reaction',
      'data-focus': `reaction ${emoji}`,
      'aria-pressed': String(Boolean(mine)),
      'aria-label': `${emoji} ${n}`,
      title: who.join(', '),
      onclick: () => react(message, emoji),
    },
    h('span', { class: 'emoji' }, emoji),
    h('span', {}, String(n)),
  );
}

/** Under a message that has a thread. */
export function threadChip(message, thread, open) {
  if (!thread?.reply_count) return null;
  const label = thread.reply_count === 1 ? '1 reply' : `${thread.reply_count} replies`;
  const who = thread.last_repliers.map(({ display_name }) => display_name).join(', ');
  return h(
    'button',
    { type: 'button', class: 'thread-chip', 'data-focus': 'thread', title: who, onclick: () => open(message.id) },
    icon('thread'),
    label,
  );
}
