// Draws the lines of a chat: days, messages of others and mine, messages on their way, quiet system lines.

import { h, icon } from './dom.js';
import { clockTime, count, dayName, systemText } from './format.js';
import { avatar } from './list.js';

/** A run of messages of one person is broken by so much silence. */
const RUN_MS = 5 * 60_000;

/**
 * What to draw, in order: `{key, stamp, node()}`. The same key and stamp mean that the node drawn before is
 * still right, so nodes are made again only when something about them changed.
 */
export function lines({ messages, pending, me, kind, readersOf, actions, canDelete }) {
  const out = [];
  let before = null;
  let day = null;
  for (const message of messages) {
    const at = message.created_at;
    const date = new Date(at).toDateString();
    if (date !== day) {
      day = date;
      const name = dayName(at);
      out.push({ key: `day ${date}`, stamp: name, node: () => h('li', { class: 'day' }, h('span', {}, name)) });
      before = null;
    }
    if (message.kind === 'system') {
      out.push({
        key: message.id,
        stamp: me,
        node: () => h('li', { class: 'system quiet' }, systemText(message, me)),
      });
      before = message;
      continue;
    }
    const own = message.sender.id === me;
    const starts = !continues(before, message.sender.id, at);
    const read = own && !message.deleted_at ? readersOf(message.seq) : 0;
    const named = !own && kind !== 'direct';
    out.push({
      key: message.client_id && own ? `mine ${message.client_id}` : message.id,
      stamp: `${message.changed_seq} ${starts} ${read} ${canDelete}`,
      node: () => bubble(message, { own, starts, named, read, actions, canDelete }),
    });
    before = message;
  }
  for (const item of pending) {
    const starts = !continues(before, me, item.created_at);
    out.push({
      key: `mine ${item.client_id}`,
      stamp: `${item.status} ${item.error ?? ''} ${starts}`,
      node: () => pendingBubble(item, starts, actions),
    });
    before = { kind: 'text', sender: { id: me }, created_at: item.created_at };
  }
  return out;
}

function continues(before, sender, at) {
  return (
    before?.kind === 'text' && before.sender.id === sender && new Date(at) - new Date(before.created_at) < RUN_MS
  );
}

function bubble(message, { own, starts, named, read, actions, canDelete }) {
  const { sender } = message;
  const deleted = Boolean(message.deleted_at);
  const menu = !deleted && (own || canDelete) ? menuButton(message, own, actions) : null;
  return h(
    'li',
    {
      class: `message ${own ? 'own' : 'other'} ${starts ? 'starts' : ''} ${deleted ? 'deleted' : ''}`,
      'data-seq': message.seq,
    },
    named && starts ? avatar(sender.display_name, sender.id, 'small') : null,
    h(
      'div',
      { class: 'bubble' },
      named && starts
        ? h('strong', { class: 'sender' }, sender.display_name)
        : h('span', { class: 'visually-hidden' }, `${own ? 'You' : sender.display_name}: `),
      h('p', { class: 'content' }, deleted ? 'Message deleted' : message.content),
      h(
        'span',
        { class: 'meta' },
        message.edited_at && !deleted ? h('span', { class: 'edited' }, 'edited') : null,
        h(
          'time',
          { datetime: message.created_at, title: new Date(message.created_at).toLocaleString() },
          clockTime(message.created_at),
        ),
        own && !deleted ? tick(read) : null,
      ),
    ),
    menu,
  );
}

function tick(read) {
  const label = read ? `Read by ${count(read, 'other')}` : 'Sent';
  return h(
    'span',
    { class: 'tick', role: 'img', 'aria-label': label, title: label },
    icon(read ? 'checks' : 'check'),
  );
}

function pendingBubble(item, starts, actions) {
  const failed = item.status === 'failed';
  const label = failed ? 'Not sent' : 'Sending';
  return h(
    'li',
    { class: `message own pending ${starts ? 'starts' : ''} ${failed ? 'failed' : ''}` },
    h(
      'div',
      { class: 'bubble' },
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
    failed
      ? h(
          'p',
          { class: 'failure', role: 'alert' },
          `${item.error} `,
          h('button', { type: 'button', class: 'link', onclick: () => actions.retry(item.client_id) }, 'Try again'),
          h('button', { type: 'button', class: 'link', onclick: () => actions.discard(item.client_id) }, 'Discard'),
        )
      : null,
  );
}

function menuButton(message, own, actions) {
  const open = h(
    'button',
    {
      type: 'button',
      class: 'icon-button menu-button',
      'aria-label': 'Message actions',
      'aria-haspopup': 'menu',
      'aria-expanded': 'false',
    },
    icon('more'),
  );
  const item = (label, act) =>
    h('button', { type: 'button', role: 'menuitem', tabindex: '-1', onclick: () => act(message) }, label);
  open.addEventListener('click', () => {
    if (open.nextElementSibling) return closeMenu(open);
    const items = [own ? item('Edit', actions.edit) : null, item('Delete', actions.delete)].filter(Boolean);
    const menu = h('div', { class: 'menu', role: 'menu' }, items);
    open.after(menu);
    // Near the lower edge it opens upwards, or the composer would hide it.
    const room = open.closest('.log').getBoundingClientRect().bottom - open.getBoundingClientRect().bottom;
    menu.classList.toggle('up', room < menu.offsetHeight + 12);
    open.setAttribute('aria-expanded', 'true');
    items[0].focus();
    menu.addEventListener('click', () => closeMenu(open));
    menu.addEventListener(
      'focusout',
      (event) => menu.contains(event.relatedTarget) || event.relatedTarget === open || closeMenu(open, false),
    );
    menu.addEventListener('keydown', (event) => menuKey(event, items, open));
  });
  return h('div', { class: 'menu-place' }, open);
}

function menuKey(event, items, open) {
  const at = items.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) items[(at + step + items.length) % items.length].focus();
  else if (event.key === 'Escape') closeMenu(open);
  else return;
  event.preventDefault();
}

function closeMenu(open, refocus = true) {
  open.nextElementSibling?.remove();
  open.setAttribute('aria-expanded', 'false');
  if (refocus) open.focus();
}

/** Draws `wanted` lines, reusing nodes of `drawn` (a Map by key) that are still right. */
export function drawLines(drawn, wanted) {
  const next = new Map();
  const nodes = wanted.map(({ key, stamp, node }) => {
    const old = drawn.get(key);
    const entry = old?.stamp === stamp ? old : { stamp, node: node() };
    next.set(key, entry);
    return entry.node;
  });
  drawn.clear();
  for (const [key, entry] of next) drawn.set(key, entry);
  return nodes;
}
