// Builds DOM nodes. Text goes in as text nodes only, never as markup, so nothing that a user
// wrote can become an element.

/**
 * `h('button', { class: 'x', onclick: f, 'aria-label': 'y' }, 'text', node, null)`.
 * Functions become listeners, booleans toggle attributes, null and undefined are left out.
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else node.setAttribute(name, value);
  }
  append(node, children);
  return node;
}

/** Replaces what is in `node`. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** Sets a node's text only when it differs, so that selections and screen readers are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes an attribute only when that changes something. */
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Puts `wanted` into `parent` in this order, moving only what is not in its place (focus and scroll survive). */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const node of [...parent.childNodes]) if (!keep.has(node)) node.remove();
  let at = parent.firstChild;
  for (const node of wanted) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

function append(node, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

const SVG = 'http://www.w3.org/2000/svg';
const PATHS = {
  plus: 'M12 5v14M5 12h14',
  globe: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18',
  back: 'M15 5l-7 7l7 7',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7a3.5 3.5 0 0 0 0 7M2.5 20c0-4 3-6 6.5-6s6.5 2 6.5 6' +
    'M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.4c2.2.8 3.5 2.6 3.5 5.6',
  close: 'M6 6l12 12M18 6L6 18',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  send: 'M4 12l16-8l-6 16l-3-7z',
  down: 'M6 9l6 6l6-6',
  out: 'M10 4H5v16h5M15 8l4 4l-4 4M19 12H9',
  smile: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M8.5 10h.01M15.5 10h.01M8 14.5c2 2.5 6 2.5 8 0',
  reply: 'M9 7L4 12l5 5M4 12h9c4 0 7 2 7 6',
  search: 'M11 4a7 7 0 1 0 0 14a7 7 0 1 0 0-14M16.5 16.5L21 21',
  pin: 'M9 4h6M10 4v6l-3 4h10l-3-4V4M12 14v6',
  thread: 'M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12h5',
  bell: 'M6 17V11a6 6 0 0 1 12 0v6l2 1H4zM10 21h4',
  mute: 'M6 17V11a6 6 0 0 1 9-5M18 11v6l2 1H4zM10 21h4M4 4l16 16',
  settings: 'M4 7h9M17 7h3M15 5v4M4 12h3M11 12h9M9 10v4M4 17h9M17 17h3M15 15v4',
  megaphone: 'M4 10v4h3l9 5V5L7 10zM19 9c1.5 1.5 1.5 4.5 0 6',
  file: 'M6 3h8l5 5v13H6zM14 3v5h5',
  image: 'M4 5h16v14H4zM4 16l5-5l4 4l3-3l4 4M15 9h.01',
  video: 'M3 6h12v12H3zM15 10l6-3v10l-6-3',
  audio: 'M9 18V6l10-2v12M9 18a3 3 0 1 1-2-2.8M19 16a3 3 0 1 1-2-2.8',
  away: 'M14 4h6v6M20 4l-9 9M18 14v6H4V6h6',
  clock: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7v5l3 2',
  check: 'M5 13l4 4L19 7',
  checks: 'M2 13l4 4L15 7M11 15l2 2L22 7',
  warn: 'M12 4L2.5 20h19zM12 10v4M12 17h.01',
};

/** A line icon; decoration only, so the control around it carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', `icon icon-${name}`);
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon alone. */
export function button(name, label, onclick, attributes = {}) {
  return h(
    'button',
    { type: 'button', class: 'icon-button', title: label, 'aria-label': label, onclick, ...attributes },
    icon(name),
  );
}
