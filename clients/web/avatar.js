// The round patch beside a name: a picture where there is one, and the letters of the name under it for as long as it
// does not come. Decoration: the name stands beside it.

import { fill, h } from './dom.js';
import { hue, initials } from './format.js';
import { pictureAddress } from './links.js';

/** `who` is `{id, display_name, avatar_url?, letters?}`, such as a user. */
export function avatar(who, size = '') {
  const node = h('span', { class: `avatar hue-${hue(who.id)} ${size}`, 'aria-hidden': 'true' });
  setAvatar(node, who);
  return node;
}

/** Another name or picture. What is there is left alone, so that a picture that failed is not asked for again. */
export function setAvatar(node, { display_name, avatar_url, letters = initials(display_name) }) {
  const src = avatar_url ? pictureAddress(avatar_url) : null;
  const shown = `${letters} ${src}`;
  if (node.shown === shown) return;
  node.shown = shown;
  fill(node, letters, src && picture(src));
}

const picture = (src) =>
  h('img', {
    src,
    alt: '',
    loading: 'lazy',
    decoding: 'async',
    onload: ({ currentTarget }) => currentTarget.classList.add('here'),
    onerror: ({ currentTarget }) => currentTarget.remove(),
  });
