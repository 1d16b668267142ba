// What the panels beside a chat share: a heading, a close button, Esc. One of them is open at a time.

import { button, h, setText } from './dom.js';

export class Panel {
  /** `opener()` is the button that gets the focus back. */
  constructor(app, { name, title, opener = () => null }) {
    this.app = app;
    this.opener = opener;
    this.title = h('h2', {}, title);
    this.body = h('div', { class: 'panel-body' });
    this.footer = h('footer', { class: 'row' });
    this.node = h(
      'aside',
      { class: `panel ${name}`, 'aria-label': title, id: name },
      h(
        'header',
        { class: 'bar' },
        h('div', { class: 'grow' }, this.title),
        button('close', `Close ${title.toLowerCase()}`, () => this.close()),
      ),
      this.body,
      this.footer,
    );
    this.node.hidden = true;
    this.footer.hidden = true;
    this.node.addEventListener('keydown', (event) => event.key === 'Escape' && this.close());
  }

  get shown() {
    return this.app.panel === this;
  }

  open() {
    this.app.showPanel(this);
    this.focus();
  }

  close() {
    if (!this.shown) return;
    this.app.showPanel(null);
    (this.opener() ?? this.app.chat.composer).focus();
  }

  toggle() {
    if (this.shown) this.close();
    else this.open();
  }

  /** Where the focus goes when it opens. */
  focus() {
    this.node.querySelector('.icon-button').focus();
  }

  /** Draws what is in it, when it is shown. */
  draw() {
    this.node.hidden = !this.shown;
    if (this.shown) this.show();
  }

  /** Another conversation is open. */
  moved() {
    if (this.shown) this.app.showPanel(null);
  }

  heading(text) {
    setText(this.title, text);
  }
}
