// Emoji under a message: which are offered, and which of them are ours though events do not say so. Pure.

/** Offered at once, and all that the picker shows. */
export const QUICK = ['👍', '❤️', '😂', '😮', '😢', '🎉'];
export const EMOJI = [
  ...QUICK,
  ...['👎', '🙏', '👏', '🙌', '💪', '👌', '🤝', '👋', '🔥', '✨', '✅', '❌'],
  ...['😀', '😅', '🤣', '😊', '😍', '😎', '🤔', '🙄', '😴', '😭', '😡', '🤯'],
  ...['🥳', '💯', '👀', '🚀', '🍀', '☕'],
];

/**
 * A message whose reactions say `mine`. An answer of REST says it. An event says who did what; of the rest the
 * list of users tells, and where that is cut short, what was known before.
 */
export function withMine(message, { known = null, me, reaction = null }) {
  if (!message.reactions?.length) return message;
  const before = new Map((known?.reactions ?? []).map((r) => [r.emoji, r.mine]));
  const reactions = message.reactions.map((r) => ({ ...r, mine: r.mine ?? own(r, before.get(r.emoji), me, reaction) }));
  return { ...message, reactions };
}

function own({ emoji, count, user_ids }, before, me, reaction) {
  if (reaction?.emoji === emoji && reaction.user_id === me) return reaction.added;
  if (user_ids.includes(me)) return true;
  return count > user_ids.length && before === true;
}

/** The message as it will be once the server took our click: shown at once, replaced by its answer. */
export function toggled(message, emoji, me) {
  const reactions = [];
  let there = false;
  for (const r of message.reactions) {
    if (r.emoji !== emoji) {
      reactions.push(r);
      continue;
    }
    there = true;
    const user_ids = r.mine ? r.user_ids.filter((id) => id !== me) : [...r.user_ids, me];
    const count = r.count + (r.mine ? -1 : 1);
    if (count > 0) reactions.push({ ...r, count, user_ids, mine: !r.mine });
  }
  if (!there) reactions.push({ emoji, count: 1, user_ids: [me], mine: true });
  return { ...message, reactions };
}
