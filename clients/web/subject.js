// What a conversation is about: a listing, an order, a ticket of the app around the chat. Its title and where it leads.

import { fill, h, icon } from './dom.js';
import { webAddress } from './links.js';

/** Puts it into `node`, after a word, or hides the node where there is none. Drawn again only when it changed. */
export function drawSubject(node, subject, word = '') {
  node.hidden = !subject;
  const drawn = JSON.stringify(subject ?? null);
  if (node.drawn === drawn) return;
  node.drawn = drawn;
  if (!subject) return;
  const to = webAddress(subject.url);
  const link = () =>
    h(
      'a',
      { href: to, target: '_blank', rel: 'noopener noreferrer', title: subject.title },
      subject.title,
      icon('away'),
    );
  fill(node, word, to ? link() : h('span', { title: subject.title }, subject.title));
}
