// The open conversation: header, history with scrolling both ways, who types, composer. Tells when its newest message
// was seen. What can be done with a message is in message-actions.js.

import { Composer } from './composer.js';
import { progress, typists } from './conversation.js';
import { button, h, icon, setAttr, setText } from './dom.js';
import { conversationName, count, presenceText, typingText } from './format.js';
import { CONNECTION } from './list.js';
import { messageActions, changeText } from './message-actions.js';
import { drawLines, lines } from './message.js';
import { conversationMenu } from './settings.js';
import { drawSubject } from './subject.js';

/** Closer than this to an edge counts as being there. */
const EDGE_PX = 60;
const OLDER_PX = 400;

export class Chat {
  constructor(app) {
    this.app = app;
    this.id = null;
    this.drawn = new Map();
    this.target = null;
    this.title = h('h1', { class: 'ellipsis', tabindex: '-1' });
    this.subtitle = h('p', { class: 'quiet ellipsis' });
    this.subject = h('span', { class: 'about ellipsis' });
    this.back = button('back', 'Back to conversations', () => (location.hash = ''), { class: 'icon-button back' });
    this.searchButton = button('search', 'Search', () => app.search.toggle(), { 'aria-controls': 'search-panel' });
    this.membersButton = button('people', 'Members', () => app.members.toggle(), { 'aria-controls': 'members' });
    this.moreButton = button('more', 'Conversation menu', (event) => conversationMenu(app, event.currentTarget), {
      'aria-haspopup': 'menu',
      'aria-expanded': 'false',
    });
    this.items = h('ol', { class: 'lines' });
    this.note = h('p', { class: 'log-note quiet', role: 'status' });
    this.log = h(
      'div',
      { class: 'log', tabindex: '0', role: 'region', 'aria-label': 'Messages' },
      this.note,
      this.items,
    );
    this.jumpDown = h(
      'button',
      { type: 'button', class: 'jump', onclick: () => this.#toNewest() },
      icon('down'),
      h('span', {}, 'Newest messages'),
    );
    this.typingLine = h('p', { class: 'typing quiet', 'aria-live': 'polite' });
    this.composer = new Composer({
      send: (text, reply_to) => this.#send(text, reply_to),
      edit: (message, text) => this.edit(message, text),
      editLast: () => this.#lastOwn(),
      people: () => this.people(),
      typed: (writing) => this.typed(writing),
      drafts: app.drafts,
      known: (message) => this.known(message),
      find: (messageId) => this.find(messageId),
    });
    this.empty = h('div', { class: 'nothing quiet' }, h('p', {}, 'Pick a conversation, or start one.'));
    this.body = h(
      'div',
      { class: 'chat-body' },
      h(
        'header',
        { class: 'bar' },
        this.back,
        h('div', { class: 'grow' }, this.title, h('div', { class: 'under-title' }, this.subject, this.subtitle)),
        this.searchButton,
        this.membersButton,
        this.moreButton,
      ),
      h('div', { class: 'log-frame' }, this.log, this.jumpDown),
      this.typingLine,
      this.composer.node,
    );
    this.node = h('main', { class: 'chat' }, this.empty, this.body);
    this.log.addEventListener('scroll', () => this.#scrolled());
    this.resize = new ResizeObserver(() => this.#stick());
    this.resize.observe(this.log);
    // A picture may turn out smaller or larger than its place.
    this.resize.observe(this.items);
    this.actions = messageActions(app, this);
  }

  close() {
    this.resize.disconnect();
  }

  /** Another conversation is open, or none. */
  show(id) {
    if (id === this.id) return;
    this.app.sync.signals.stopped();
    this.id = id;
    this.target = null;
    this.drawn.clear();
    this.items.replaceChildren();
    this.atEnd = true;
    this.composer.show(id);
    // On a phone the keyboard would cover what one came to read.
    if (id && matchMedia('(pointer: fine)').matches) setTimeout(() => this.composer.focus(), 0);
  }

  /** Leads to a message, loading what is around it. */
  async jump(seq) {
    this.target = seq;
    if (!(await this.app.sync.around(this.id, seq)) && this.target === seq) {
      this.target = null;
      this.app.say('This message is not there any more.');
    }
    this.app.changed();
  }

  draw() {
    const { sync } = this.app;
    const conversation = this.id && sync.state.get(this.id);
    this.body.hidden = !conversation;
    this.empty.hidden = Boolean(conversation);
    if (!conversation) return;
    // Where the address names a message, the newest ones are neither needed nor seen.
    const { wanted } = this.app;
    if (conversation.timeline.status === 'empty' && !wanted) sync.open(this.id);
    this.#head(conversation);
    this.#lines(conversation);
    setText(this.typingLine, typingText(typists(conversation), conversation.info.kind));
    setAttr(this.typingLine, 'data-on', this.typingLine.textContent ? 'true' : null);
    this.composer.draw(this.writing(conversation));
    const { status, live } = conversation.timeline;
    if (this.atEnd && live && status === 'ready' && !wanted && this.app.looking()) sync.markRead(this.id);
  }

  /** What the composers of a conversation allow. */
  writing({ info }) {
    return { limit: this.app.sync.limits.content_chars, closed: closedWhy(info) };
  }

  /** Who may be mentioned here, as far as they are known. */
  people() {
    return this.app.sync.people.of(this.id).filter(({ id }) => id !== this.app.me.id);
  }

  /** The text of a composer changed. */
  typed(writing) {
    if (writing) this.app.sync.signals.typed(this.id);
    else this.app.sync.signals.stopped();
  }

  /** The newest state of a message of this conversation; null where it is not loaded. */
  known(message) {
    return this.app.openConversation()?.timeline.known(message) ?? null;
  }

  find(messageId) {
    return this.app.api.get(`/v1/messages/${messageId}`);
  }

  edit(message, text) {
    return changeText(this.app, message, text);
  }

  /** What drawing messages needs to know beyond them. */
  view(conversation, { inThread = false } = {}) {
    const { me, sync } = this.app;
    const { info, timeline } = conversation;
    const people = new Map(sync.people.of(info.id).map((user) => [user.id, user.display_name]));
    for (const { sender } of timeline.list()) people.set(sender.id, sender.display_name);
    people.set(me.id, 'You');
    return {
      me: me.id,
      kind: info.kind,
      inThread,
      may: `${info.role} ${info.kind}`,
      actions: this.actions,
      quoteOf: (message) => timeline.quoteOf(message),
      threadOf: (message) => timeline.threadOf(message),
      progressOf: (seq) => progress(conversation, seq, me.id),
      nameOf: (id) => people.get(id),
      isBlocked: (id) => info.kind !== 'direct' && sync.state.blocked.has(id),
    };
  }

  #head({ info }) {
    setText(this.title, conversationName(info));
    const members = count(info.participant_count, 'member');
    const there = info.other && presenceText(this.app.sync.state.presence.get(info.other.id));
    const kind = {
      direct: there || `@${info.other?.username ?? ''}`,
      group: members,
      public: `Public room · ${members}`,
    };
    // On a phone the sidebar, which tells it otherwise, is not in sight.
    const { name } = this.app.sync.connection;
    setText(this.subtitle, name === 'connected' ? kind[info.kind] : CONNECTION[name]);
    drawSubject(this.subject, info.subject);
    setAttr(this.body, 'data-kind', info.kind);
    setAttr(this.membersButton, 'aria-expanded', String(this.app.members.shown));
    setAttr(this.searchButton, 'aria-expanded', String(this.app.search.shown));
  }

  #lines(conversation) {
    const { timeline, info } = conversation;
    const pending = timeline.live ? this.app.sync.outbox.of(info.id) : [];
    const bottom = this.log.scrollHeight - this.log.scrollTop;
    const oldest = timeline.oldest();
    const loading = timeline.status !== 'ready' || timeline.loadingOlder;
    drawLines(this.items, this.drawn, lines({ messages: timeline.list(), pending, view: this.view(conversation) }));
    setText(this.note, loading ? 'Loading…' : '');
    this.note.hidden = !loading;
    if (this.target !== null && timeline.at(this.target)) this.#showTarget();
    // What was put above must not move what one is reading.
    else if (this.atEnd && timeline.live) this.#toEnd();
    else if (oldest !== this.oldest) this.log.scrollTop = this.log.scrollHeight - bottom;
    this.oldest = oldest;
    this.jumpDown.hidden = this.atEnd && timeline.live;
    // A page that does not fill the window cannot be scrolled: fetch on.
    if (timeline.status === 'ready' && this.log.scrollTop < OLDER_PX) this.app.sync.older(this.id);
  }

  #showTarget() {
    const line = this.items.querySelector(`[data-seq="${this.target}"]`);
    this.target = null;
    line?.scrollIntoView({ block: 'center' });
    // Where all of it fits, nothing scrolls and nobody would say so.
    this.atEnd = this.#below() < EDGE_PX;
    this.#flash(line);
  }

  /** Lights up for a moment; the mark itself stays until the next one. */
  #flash(line) {
    for (const old of this.items.querySelectorAll('.flash')) old.classList.remove('flash');
    if (!line) return;
    // The animation begins anew where it is the same line.
    void line.offsetWidth;
    line.classList.add('flash');
  }

  /** How much there is under what one sees. */
  #below() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    return scrollHeight - scrollTop - clientHeight;
  }

  #scrolled() {
    const { scrollTop } = this.log;
    const below = this.#below();
    const atEnd = below < EDGE_PX;
    if (atEnd !== this.atEnd) {
      this.atEnd = atEnd;
      this.app.changed();
    }
    if (scrollTop < OLDER_PX) this.app.sync.older(this.id);
    if (below < OLDER_PX) this.app.sync.newer(this.id);
  }

  #stick() {
    if (this.atEnd && this.app.openConversation()?.timeline.live) this.#toEnd();
  }

  #toEnd() {
    this.atEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
  }

  #toNewest() {
    const live = this.app.openConversation()?.timeline.live;
    this.#toEnd();
    if (!live) this.app.sync.latest(this.id);
    this.app.changed();
  }

  #send(text, reply_to) {
    this.#toNewest();
    this.app.sync.outbox.add(this.id, text, { reply_to });
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
  if (info.archived_at) return 'This conversation is archived.';
  if (info.posting === 'admins' && info.role === 'member') return 'Only admins can post here.';
  return null;
}
