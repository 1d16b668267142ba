// The open conversation: header, history with scrolling back, composer. Tells when its newest message was seen.

import { Composer } from './composer.js';
import { confirmDialog } from './dialogs.js';
import { arrange, h, icon, setAttr, setText } from './dom.js';
import { conversationName, count } from './format.js';
import { button, CONNECTION } from './list.js';
import { drawLines, lines } from './message.js';
import { readers } from './state.js';

/** Closer than this to an edge counts as being there. */
const EDGE_PX = 60;
const OLDER_PX = 400;

export class Chat {
  constructor(app) {
    this.app = app;
    this.id = null;
    this.drawn = new Map();
    this.title = h('h1', { class: 'ellipsis', tabindex: '-1' });
    this.subtitle = h('p', { class: 'quiet ellipsis' });
    this.back = button('back', 'Back to conversations', () => (location.hash = ''), { class: 'icon-button back' });
    this.membersButton = button('people', 'Members', () => app.members.toggle(), { 'aria-controls': 'members' });
    this.items = h('ol', { class: 'lines' });
    this.note = h('p', { class: 'log-note quiet', role: 'status' });
    this.log = h(
      'div',
      { class: 'log', tabindex: '0', role: 'region', 'aria-label': 'Messages' },
      this.note,
      this.items,
    );
    this.jump = h(
      'button',
      { type: 'button', class: 'jump', onclick: () => this.#toEnd() },
      icon('down'),
      h('span', {}, 'Newest messages'),
    );
    this.composer = new Composer({
      send: (text) => this.#send(text),
      edit: (message, text) => this.#edit(message, text),
      editLast: () => this.#lastOwn(),
    });
    this.empty = h('div', { class: 'nothing quiet' }, h('p', {}, 'Pick a conversation, or start one.'));
    this.body = h(
      'div',
      { class: 'chat-body' },
      h(
        'header',
        { class: 'bar' },
        this.back,
        h('div', { class: 'grow' }, this.title, this.subtitle),
        this.membersButton,
      ),
      h('div', { class: 'log-frame' }, this.log, this.jump),
      this.composer.node,
    );
    this.node = h('main', { class: 'chat' }, this.empty, this.body);
    this.log.addEventListener('scroll', () => this.#scrolled());
    this.resize = new ResizeObserver(() => this.#stick());
    this.resize.observe(this.log);
    this.actions = {
      edit: (message) => this.composer.startEdit(message),
      delete: (message) => this.#delete(message),
      retry: (clientId) => app.sync.outbox.retry(clientId),
      discard: (clientId) => app.sync.outbox.discard(clientId),
    };
  }

  close() {
    this.resize.disconnect();
  }

  /** Another conversation is open, or none. */
  show(id) {
    if (id === this.id) return;
    this.id = id;
    this.drawn.clear();
    this.items.replaceChildren();
    this.atEnd = true;
    this.composer.show(id);
    // On a phone the keyboard would cover what one came to read.
    if (id && matchMedia('(pointer: fine)').matches) setTimeout(() => this.composer.focus(), 0);
  }

  draw() {
    const { sync, me } = this.app;
    const conversation = this.id && sync.state.get(this.id);
    this.body.hidden = !conversation;
    this.empty.hidden = Boolean(conversation);
    if (!conversation) return;
    if (conversation.timeline.status === 'empty') sync.open(this.id);
    this.#head(conversation.info);
    this.#lines(conversation, me.id);
    this.composer.draw({ limit: sync.limits.content_chars, closed: closedWhy(conversation.info) });
    if (
      this.atEnd &&
      document.visibilityState === 'visible' &&
      document.hasFocus() &&
      conversation.timeline.status === 'ready'
    ) {
      sync.markRead(this.id);
    }
  }

  #head(info) {
    setText(this.title, conversationName(info));
    const kind = {
      direct: `@${info.other?.username ?? ''}`,
      group: count(info.participant_count, 'member'),
      public: `Public room · ${count(info.participant_count, 'member')}`,
    };
    // On a phone the sidebar, which tells it otherwise, is not in sight.
    const { name } = this.app.sync.connection;
    setText(this.subtitle, name === 'connected' ? kind[info.kind] : CONNECTION[name]);
    setAttr(this.body, 'data-kind', info.kind);
    setAttr(this.membersButton, 'aria-expanded', String(this.app.members.shown));
  }

  #lines(conversation, me) {
    const { timeline, info } = conversation;
    const wanted = lines({
      messages: timeline.list(),
      pending: this.app.sync.outbox.of(info.id),
      me,
      kind: info.kind,
      readersOf: (seq) => readers(conversation, seq, me),
      actions: this.actions,
      canDelete: info.role === 'owner' || info.role === 'admin',
    });
    const bottom = this.log.scrollHeight - this.log.scrollTop;
    const oldest = timeline.oldest();
    arrange(this.items, drawLines(this.drawn, wanted));
    setText(this.note, timeline.status !== 'ready' || timeline.loadingOlder ? 'Loading…' : '');
    this.note.hidden = timeline.status === 'ready' && !timeline.loadingOlder;
    // What was put above must not move what one is reading.
    if (this.atEnd) this.#toEnd();
    else if (oldest !== this.oldest) this.log.scrollTop = this.log.scrollHeight - bottom;
    this.oldest = oldest;
    this.jump.hidden = this.atEnd;
    // A page that does not fill the window cannot be scrolled: fetch on.
    if (timeline.status === 'ready' && this.log.scrollTop < OLDER_PX) this.app.sync.older(this.id);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const atEnd = scrollHeight - scrollTop - clientHeight < EDGE_PX;
    if (atEnd !== this.atEnd) {
      this.atEnd = atEnd;
      this.app.changed();
    }
    if (scrollTop < OLDER_PX) this.app.sync.older(this.id);
  }

  #stick() {
    if (this.atEnd) this.#toEnd();
  }

  #toEnd() {
    this.atEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
  }

  #send(text) {
    this.atEnd = true;
    this.app.sync.outbox.add(this.id, text);
  }

  async #edit(message, text) {
    try {
      this.app.sync.changedMessage(await this.app.api.patch(`/v1/messages/${message.id}`, { content: text }));
    } catch (error) {
      this.app.say(`Not changed: ${error.message}`);
    }
  }

  async #delete(message) {
    if (
      !(await confirmDialog({ title: 'Delete this message?', text: 'It disappears for everybody.', yes: 'Delete' }))
    )
      return;
    try {
      const answer = await this.app.api.delete(`/v1/messages/${message.id}`);
      if (answer) this.app.sync.changedMessage(answer);
      // The button that asked for it is gone with the text.
      this.composer.focus();
    } catch (error) {
      this.app.say(`Not deleted: ${error.message}`);
    }
  }

  #lastOwn() {
    const conversation = this.app.openConversation();
    return conversation?.timeline
      .list()
      .findLast((m) => m.sender.id === this.app.me.id && m.kind === 'text' && !m.deleted_at);
  }
}

/** Why nothing can be sent here, if so. */
function closedWhy(info) {
  if (info.archived_at) return 'This conversation is closed.';
  if (info.posting === 'admins' && info.role === 'member') return 'Only admins can post here.';
  return null;
}
