// Draws the lines of a chat: days, messages of others and mine, messages on their way, quiet system lines.

import { attachmentList } from './attachments.js';
import { avatar } from './avatar.js';
import { arrange, button, h, icon } from './dom.js';
import { clockTime, dayName, systemText } from './format.js';
import { quoteBlock, reactionChips, textOf, threadChip, tick } from './parts.js';

/** A run of messages of one person is broken by so much silence. */
const RUN_MS = 5 * 60_000;

/**
 * What to draw, in order: `{key, stamp, node()}`. The same key and stamp mean that the node drawn before is still
 * right, so nodes are made again only when something about them changed. `view` tells what messages do not say of
 * themselves: `{me, kind, quoteOf, threadOf, progressOf, nameOf, isBlocked, actions, inThread}`.
 */
export function lines({ messages, pending, view }) {
  const out = [];
  let before = null;
  let day = null;
  for (const message of messages) {
    const at = message.created_at;
    const date = new Date(at).toDateString();
    if (date !== day) {
      day = date;
      out.push(dayLine(date, dayName(at)));
      before = null;
    }
    const starts = !continues(before, message.sender.id, at);
    out.push(message.kind === 'system' ? systemLine(message, view.me) : messageLine(message, starts, view));
    before = message;
  }
  for (const item of pending) {
    const starts = !continues(before, view.me, item.created_at);
    out.push({
      key: `mine ${item.client_id}`,
      stamp: `${item.status} ${item.error ?? ''} ${starts}`,
      node: () => pendingBubble(item, starts, view),
    });
    before = { kind: 'text', sender: { id: view.me }, created_at: item.created_at };
  }
  return out;
}

const dayLine = (date, name) => ({
  key: `day ${date}`,
  stamp: name,
  node: () => h('li', { class: 'day' }, h('span', {}, name)),
});

const systemLine = (message, me) => ({
  key: message.id,
  stamp: me,
  node: () => h('li', { class: 'system quiet', 'data-seq': message.seq }, systemText(message, me)),
});

function messageLine(message, starts, view) {
  const own = message.sender.id === view.me;
  const quote = view.quoteOf(message);
  const thread = view.inThread ? null : view.threadOf(message);
  const progress = own && !message.deleted_at ? view.progressOf(message.seq) : null;
  const hidden = view.isBlocked(message.sender.id);
  // Reactions are shown before the server says so: `changed_seq` does not tell them apart.
  const reactions = (message.reactions ?? []).map((r) => [r.emoji, r.count, r.mine, r.user_ids.map(view.nameOf)]);
  const told = [message.changed_seq, starts, progress?.state, progress?.readers, progress?.others, hidden, reactions];
  const around = [quote?.content, quote?.deleted_at, quote?.attachments?.length, thread?.reply_count, view.may];
  // A new name or picture is no step of the conversation.
  const people = [message.sender, quote?.sender, ...message.mentions.map(({ user }) => user)];
  const named = people.map((user) => [user?.display_name, user?.avatar_url]);
  return {
    key: message.client_id && own ? `mine ${message.client_id}` : message.id,
    stamp: JSON.stringify([...told, ...around, ...named]),
    node: () => bubble(message, { own, starts, quote, thread, progress, hidden, view }),
  };
}

function continues(before, sender, at) {
  return (
    before?.kind === 'text' && before.sender.id === sender && new Date(at) - new Date(before.created_at) < RUN_MS
  );
}

function bubble(message, { own, starts, quote, thread, progress, hidden, view }) {
  const { sender } = message;
  const { me, actions } = view;
  const deleted = Boolean(message.deleted_at);
  const named = !own && view.kind !== 'direct';
  const gone = deleted ? 'Message deleted' : hidden ? 'Hidden: you blocked this person' : null;
  return h(
    'li',
    {
      class: `message ${own ? 'own' : 'other'} ${starts ? 'starts' : ''} ${gone ? 'deleted' : ''}`,
      'data-seq': message.seq,
    },
    named && starts ? avatar(sender, 'small') : null,
    h(
      'div',
      { class: 'column' },
      h(
        'div',
        { class: 'bubble' },
        named && starts
          ? h('strong', { class: 'sender' }, sender.display_name)
          : h('span', { class: 'visually-hidden' }, `${own ? 'You' : sender.display_name}: `),
        gone ? null : inThread(message, view),
        gone ? null : quoteBlock(quote, me, actions.jump),
        gone ? null : attachmentList(message),
        gone || message.content ? h('p', { class: 'content' }, gone ?? textOf(message, me)) : null,
        meta(message, gone, progress, actions),
      ),
      gone
        ? null
        : h(
            'div',
            { class: 'under' },
            reactionChips(message, { react: actions.react, nameOf: view.nameOf }),
            threadChip(message, thread, actions.thread),
          ),
      gone ? null : tools(message, actions),
    ),
  );
}

/** A reply in a thread says so, where it stands among the other messages. */
function inThread(message, { inThread: within, actions }) {
  if (within || !message.thread_root_id) return null;
  return h(
    'button',
    { type: 'button', class: 'link in-thread', onclick: () => actions.thread(message.thread_root_id) },
    icon('thread'),
    'In a thread',
  );
}

function meta(message, gone, progress, actions) {
  const edited = () => actions.edits(message);
  return h(
    'span',
    { class: 'meta' },
    message.pinned_at && !gone
      ? h('span', { role: 'img', 'aria-label': 'Pinned', title: 'Pinned' }, icon('pin'))
      : null,
    message.edited_at && !gone
      ? h('button', { type: 'button', class: 'link edited', title: 'What it said before', onclick: edited }, 'edited')
      : null,
    h(
      'time',
      { datetime: message.created_at, title: new Date(message.created_at).toLocaleString() },
      clockTime(message.created_at),
    ),
    progress ? tick(progress) : null,
  );
}

function tools(message, actions) {
  const popup = { 'aria-haspopup': 'menu', 'aria-expanded': 'false' };
  const tool = (name, label, act, more = {}) =>
    button(name, label, (event) => act(message, event.currentTarget, actions), { 'data-focus': name, ...more });
  return h(
    'div',
    { class: 'tools' },
    tool('smile', 'React', actions.pick, popup),
    tool('reply', 'Reply', actions.reply),
    tool('more', 'Message actions', actions.menu, popup),
  );
}

function pendingBubble(item, starts, { me, actions }) {
  const failed = item.status === 'failed';
  const label = failed ? 'Not sent' : 'Sending';
  return h(
    'li',
    { class: `message own pending ${starts ? 'starts' : ''} ${failed ? 'failed' : ''}` },
    h(
      'div',
      { class: 'column' },
      h(
        'div',
        { class: 'bubble' },
        // Of a draft that was sent at once, the id may be all that is known.
        quoteBlock(item.reply_to?.sender ? item.reply_to : null, me, actions.jump),
        h('p', { class: 'content' }, item.content),
        h(
          'span',
          { class: 'meta' },
          h('time', { datetime: item.created_at }, clockTime(item.created_at)),
          h(
            'span',
            { class: 'tick', role: 'img', 'aria-label': label, title: label },
            icon(failed ? 'warn' : 'clock'),
          ),
        ),
      ),
      failed ? failure(item, actions) : null,
    ),
  );
}

function failure(item, actions) {
  return h(
    'p',
    { class: 'failure', role: 'alert' },
    `${item.error} `,
    h('button', { type: 'button', class: 'link', onclick: () => actions.retry(item.client_id) }, 'Try again'),
    h('button', { type: 'button', class: 'link', onclick: () => actions.discard(item.client_id) }, 'Discard'),
  );
}

/** Puts `wanted` lines into `parent`, reusing nodes of `drawn` (a Map by key) that are still right; the focus stays. */
export function drawLines(parent, drawn, wanted) {
  const focus = focused(drawn);
  const next = new Map();
  const nodes = wanted.map(({ key, stamp, node }) => {
    const old = drawn.get(key);
    const entry = old?.stamp === stamp ? old : { stamp, node: node() };
    next.set(key, entry);
    return entry.node;
  });
  drawn.clear();
  for (const [key, entry] of next) drawn.set(key, entry);
  arrange(parent, nodes);
  if (focus && !focus.node.isConnected)
    drawn.get(focus.key)?.node.querySelector(`[data-focus="${focus.name}"]`)?.focus({ preventScroll: true });
}

function focused(drawn) {
  const node = document.activeElement;
  const name = node?.dataset?.focus;
  if (!name) return null;
  for (const [key, entry] of drawn) if (entry.node.contains(node)) return { key, name, node };
  return null;
}
