// The panel of a thread: the message that it hangs under, its replies as they come, and a field to reply in it.

import { Composer } from './composer.js';
import { fill, h } from './dom.js';
import { drawLines, lines } from './message.js';
import { Panel } from './panel.js';

const PAGE = 100;

export class ThreadPanel extends Panel {
  constructor(app) {
    super(app, { name: 'thread-panel', title: 'Thread' });
    this.rootId = null;
    this.loaded = new Map();
    this.drawn = new Map();
    this.items = h('ol', { class: 'lines' });
    this.note = h('p', { class: 'quiet', role: 'status' });
    this.composer = new Composer({
      label: 'Reply in thread',
      placeholder: 'Reply in thread',
      send: (text, reply_to) => app.sync.outbox.add(app.openId, text, { reply_to, thread_root_id: this.rootId }),
      edit: (message, text) => app.chat.edit(message, text),
      editLast: () => this.#messages().findLast((m) => m.sender.id === app.me.id && !m.deleted_at),
      people: () => app.chat.people(),
      typed: (writing) => app.chat.typed(writing),
      drafts: app.drafts,
      known: (message) => app.chat.known(message),
      find: (messageId) => app.chat.find(messageId),
    });
    fill(this.body, this.items, this.note);
    this.body.classList.add('log-like');
    this.footer.replaceWith(this.composer.node);
  }

  openFor(rootId) {
    this.rootId = rootId;
    this.loaded.clear();
    this.drawn.clear();
    this.items.replaceChildren();
    this.composer.show(rootId, this.app.openId);
    this.#load(rootId);
    this.open();
  }

  focus() {
    this.composer.focus();
  }

  show() {
    const conversation = this.app.openConversation();
    if (!conversation) return;
    const view = this.app.chat.view(conversation, { inThread: true });
    view.actions = {
      ...view.actions,
      reply: (message) => this.composer.startReply(message),
      edit: (message) => this.composer.startEdit(message),
    };
    const pending = this.app.sync.outbox.of(conversation.info.id).filter((i) => i.thread_root_id === this.rootId);
    const atEnd = this.body.scrollHeight - this.body.scrollTop - this.body.clientHeight < 60;
    drawLines(this.items, this.drawn, lines({ messages: this.#messages(), pending, view }));
    if (atEnd) this.body.scrollTop = this.body.scrollHeight;
    this.composer.draw(this.app.chat.writing(conversation));
  }

  /** The page that was loaded, and what events brought since. */
  #messages() {
    const timeline = this.app.openConversation()?.timeline;
    const ours = (m) => m.id === this.rootId || m.thread_root_id === this.rootId;
    for (const message of timeline?.list().filter(ours) ?? []) this.#keep(message);
    for (const message of timeline?.elsewhere.values() ?? []) if (ours(message)) this.#keep(message);
    return [...this.loaded.values()].sort((a, b) => a.seq - b.seq);
  }

  #keep(message) {
    const known = this.loaded.get(message.id);
    if (!known || known.changed_seq <= message.changed_seq) this.loaded.set(message.id, message);
  }

  async #load(rootId) {
    this.note.textContent = 'Loading…';
    try {
      let cursor = null;
      do {
        const page = await this.app.api.get(`/v1/messages/${rootId}/thread`, { limit: PAGE, cursor });
        if (this.rootId !== rootId) return;
        for (const message of [page.root, ...page.items]) this.#keep(this.app.sync.state.named(message));
        cursor = page.next_cursor;
      } while (cursor);
      this.note.textContent = '';
    } catch (error) {
      this.note.textContent = error.message;
    }
    this.app.changed();
  }
}
