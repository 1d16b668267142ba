// Dialogs about one message or person: who read it, what it said before, reporting it.

import { avatar } from './avatar.js';
import { Dialog } from './dialogs.js';
import { fill, h } from './dom.js';
import { clockTime, dayName } from './format.js';
import { Paged } from './paged.js';

const STATES = { read: 'Read', delivered: 'Delivered', sent: 'Not yet' };
const REASONS = { spam: 'Spam', abuse: 'Abuse', inappropriate: 'Inappropriate', other: 'Something else' };

/** Who got and who read a message. */
export async function showReceipts(app, message) {
  const list = h('ul', { class: 'results' });
  const note = h('p', { class: 'quiet', role: 'status' }, 'Loading…');
  const receipts = new Paged();
  const onclick = () => load(() => receipts.more());
  const more = h('button', { type: 'button', class: 'button', onclick }, 'Show more');
  more.hidden = true;
  const load = async (work) => {
    try {
      const page = await work();
      if (!page) return;
      more.hidden = receipts.cursor === null;
      note.textContent = `Read by ${page.read_count} of ${page.participant_count}`;
      list.append(...page.items.map(receiptRow));
    } catch (error) {
      note.textContent = error.message;
    }
  };
  new Dialog({ title: 'Who read this' }, note, list, more).show();
  await load(() =>
    receipts.begin((cursor) => app.api.get(`/v1/messages/${message.id}/receipts`, { limit: 100, cursor })),
  );
}

const receiptRow = ({ user, state }) =>
  h(
    'li',
    { class: 'member' },
    avatar(user, 'small'),
    h('span', { class: 'grow ellipsis' }, user.display_name),
    h('span', { class: 'quiet' }, STATES[state]),
  );

/** What a message said before each edit. */
export async function showEdits(app, message) {
  const list = h('ol', { class: 'versions' });
  new Dialog({ title: 'Edit history' }, list).show();
  const version = (content, when) =>
    h('li', {}, h('span', { class: 'quiet' }, when), h('p', { class: 'content' }, content));
  const at = (iso) => `until ${dayName(iso)}, ${clockTime(iso)}`;
  try {
    const { items } = await app.api.get(`/v1/messages/${message.id}/edits`);
    fill(
      list,
      items.map(({ content, replaced_at }) => version(content, at(replaced_at))),
      version(message.content, 'now'),
    );
  } catch (error) {
    fill(list, h('li', { class: 'form-error' }, error.message));
  }
}

/** Reports a message or a user; `what` is `{message_id}` or `{user_id}`. */
export function showReport(app, name, what) {
  const reason = h(
    'select',
    { 'aria-label': 'Reason' },
    Object.entries(REASONS).map(([value, label]) => h('option', { value }, label)),
  );
  const comment = h('textarea', { rows: '3', maxlength: '1000', class: 'area' });
  const error = h('p', { class: 'form-error', role: 'alert' });
  const send = async (event) => {
    event.preventDefault();
    try {
      await app.api.post('/v1/reports', { ...what, reason: reason.value, comment: comment.value.trim() || undefined });
      dialog.close();
      app.say('Thank you. The admins will look at it.');
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  const form = h(
    'form',
    { onsubmit: send },
    h('label', { class: 'field' }, h('span', {}, 'Reason'), reason),
    h('label', { class: 'field' }, h('span', {}, 'What happened? (optional)'), comment),
    error,
    h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'button danger' }, 'Report')),
  );
  const dialog = new Dialog({ title: `Report ${name}` }, form);
  dialog.show();
  reason.focus();
}
