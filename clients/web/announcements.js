// News for everybody, above all else until one has read it.

import { button, h, icon, setText } from './dom.js';
import { webAddress } from './links.js';

export class Announcements {
  constructor(app) {
    this.app = app;
    this.title = h('strong', {});
    this.text = h('span', {});
    this.link = h('a', { target: '_blank', rel: 'noopener noreferrer' }, 'Read more');
    this.node = h(
      'section',
      { class: 'banner', role: 'status', 'aria-label': 'Announcement' },
      icon('megaphone'),
      h('p', { class: 'grow' }, this.title, ' ', this.text, ' ', this.link),
      button('close', 'Dismiss the announcement', () => app.sync.announcementsRead().catch((e) => app.say(e.message))),
    );
    this.node.hidden = true;
  }

  draw() {
    const last = this.app.sync.state.announcements.at(-1);
    this.node.hidden = !last;
    if (!last) return;
    setText(this.title, last.title);
    setText(this.text, last.content);
    const to = webAddress(last.url);
    this.link.hidden = !to;
    if (to) this.link.href = to;
  }
}
