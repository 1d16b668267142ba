// What opens beside a button and goes away by itself: menus and pickers. Moved with the arrow keys, closed by Esc,
// a click elsewhere, scrolling, or when the focus leaves. Lies over the page: redrawing the button's place is harmless.

import { h } from './dom.js';

const GAP_PX = 6;
let open = null;

/** Shows `node` beside `anchor`; `columns` items lie in a row. A second call for the same anchor closes it. */
export function popup(anchor, node, { columns = 1 } = {}) {
  const again = open?.anchor === anchor;
  open?.close(again);
  if (again) return;
  const items = [...node.querySelectorAll('button')];
  const close = (refocus = true) => {
    if (open?.node !== node) return;
    open = null;
    node.remove();
    anchor.setAttribute('aria-expanded', 'false');
    document.removeEventListener('pointerdown', outside, true);
    document.removeEventListener('scroll', scrolled, true);
    if (refocus && anchor.isConnected) anchor.focus();
  };
  const outside = ({ target }) => !node.contains(target) && !anchor.contains(target) && close(false);
  const scrolled = ({ target }) => !node.contains(target) && target.contains?.(anchor) && close(false);
  open = { anchor, node, close };
  anchor.setAttribute('aria-expanded', 'true');
  document.body.append(node);
  place(anchor, node);
  document.addEventListener('pointerdown', outside, true);
  document.addEventListener('scroll', scrolled, true);
  node.addEventListener('focusout', ({ relatedTarget }) => relatedTarget && outside({ target: relatedTarget }));
  node.addEventListener('keydown', (event) => {
    const step = { ArrowDown: columns, ArrowUp: -columns, ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = items.indexOf(document.activeElement);
    if (step) items[(at + step + items.length) % items.length].focus();
    else if (event.key === 'Escape' || event.key === 'Tab') close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  // Before the item acts, so that what it opens has the focus in the end.
  node.addEventListener('click', () => close(), true);
  items[0]?.focus({ preventScroll: true });
}

function place(anchor, node) {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = node;
  const below = at.bottom + GAP_PX + height <= innerHeight;
  const top = below ? at.bottom + GAP_PX : Math.max(GAP_PX, at.top - GAP_PX - height);
  const left = at.left + width <= innerWidth - GAP_PX ? at.left : at.right - width;
  node.style.top = `${top}px`;
  node.style.left = `${Math.max(GAP_PX, left)}px`;
}

/** A menu of `{label, act, danger?}`, falsy ones left out. */
export function showMenu(anchor, label, entries) {
  const items = entries.filter(Boolean).map(({ label: text, act, danger }) =>
    h(
      'button',
      { type: 'button', role: 'menuitem', tabindex: '-1', class: danger ? 'danger' : null, onclick: act },
      text,
    ),
  );
  popup(anchor, h('div', { class: 'menu', role: 'menu', 'aria-label': label }, items));
}

/** Emoji to choose from. */
export function showEmoji(anchor, emoji, pick) {
  const items = emoji.map((one) =>
    h('button', { type: 'button', role: 'menuitem', tabindex: '-1', onclick: () => pick(one) }, one),
  );
  const columns = 6;
  popup(anchor, h('div', { class: 'menu emoji-menu', role: 'menu', 'aria-label': 'Reactions' }, items), { columns });
}
