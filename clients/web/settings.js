// The open conversation's menu, and the dialogs behind it: what one wants to be told of, and, for admins, what it is
// called and who may write.

import { formDialog } from './dialogs.js';
import { h } from './dom.js';
import { muted } from './conversation.js';
import { showMenu } from './menu.js';
import { field } from './signin.js';

const HOUR_MS = 3_600_000;
/** A mute without an end. */
const FOR_EVER = '9999-01-01T00:00:00.000Z';
const MUTES = { '1': '1 hour', '8': '8 hours', '168': '1 week', ever: 'Until I turn it off' };
const NOTIFY = { all: 'All messages', mentions: 'Mentions and replies', none: 'Nothing' };

export function conversationMenu(app, anchor) {
  const conversation = app.openConversation();
  const { info } = conversation;
  const manager = info.role === 'owner' || info.role === 'admin';
  const prefer = (patch) => app.sync.prefer(info.id, patch).catch((error) => app.say(error.message));
  showMenu(anchor, 'Conversation menu', [
    { label: 'Pinned messages', act: () => app.pins.open() },
    { label: 'Notifications', act: () => notifications(app, info) },
    muted(conversation) && { label: 'Unmute', act: () => prefer({ muted_until: null }) },
    {
      label: info.pinned_at ? 'Unpin from the list' : 'Pin to the list',
      act: () => prefer({ pinned: !info.pinned_at }),
    },
    manager && info.kind !== 'direct' && { label: 'Settings', act: () => settings(app, info) },
    manager &&
      info.kind !== 'direct' && { label: info.archived_at ? 'Unarchive' : 'Archive', act: () => archive(app, info) },
  ]);
}

async function archive(app, info) {
  try {
    await app.api.patch(`/v1/conversations/${info.id}`, { archived: !info.archived_at });
  } catch (error) {
    app.say(error.message);
  }
}

function notifications(app, info) {
  const now = Date.now();
  const isMuted = muted({ info }, now);
  const notify = choice('Notify me of', NOTIFY, info.notify);
  const mute = choice(
    'Mute',
    { '': isMuted ? 'Stays muted' : 'Not muted', ...(isMuted ? { off: 'Unmute' } : {}), ...MUTES },
    '',
  );
  formDialog('Notifications', 'Save', [notify.label, mute.label], async () => {
    const patch = { notify: notify.value() };
    if (mute.value()) patch.muted_until = mutedUntil(mute.value(), now);
    await app.sync.prefer(info.id, patch);
  });
}

/** When a mute of this choice ends; null: it is none. */
function mutedUntil(choice, now) {
  if (choice === 'off') return null;
  return choice === 'ever' ? FOR_EVER : new Date(now + Number(choice) * HOUR_MS).toISOString();
}

function settings(app, info) {
  const title = field('Title', { maxlength: '120' });
  const description = field('Description', { maxlength: '1000', required: false });
  const posting = choice('Who may write', { everyone: 'Everyone', admins: 'Only admins' }, info.posting);
  const slow = choice(
    'Slow mode',
    { 0: 'Off', 10: 'One message in 10 seconds', 60: 'One message a minute', 300: 'One message in 5 minutes' },
    String(info.slow_mode_seconds),
  );
  // What others change meanwhile is not ours to change back.
  const shown = { ...info };
  title.input.value = info.title ?? '';
  description.input.value = info.description ?? '';
  formDialog('Settings', 'Save', [title.label, description.label, posting.label, slow.label], () => {
    const wanted = {
      title: title.input.value.trim(),
      description: description.input.value.trim() || null,
      posting: posting.value(),
      slow_mode_seconds: Number(slow.value()),
    };
    const changed = Object.entries(wanted).filter(([name, value]) => value !== shown[name]);
    return changed.length ? app.api.patch(`/v1/conversations/${info.id}`, Object.fromEntries(changed)) : null;
  });
}

/** A labelled choice; a value that is not among the offered ones is offered too. */
function choice(label, options, value) {
  const offered = value in options ? options : { ...options, [value]: value };
  const select = h(
    'select',
    {},
    Object.entries(offered).map(([key, text]) => h('option', { value: key, selected: key === value }, text)),
  );
  return { label: h('label', { class: 'field' }, h('span', {}, label), select), value: () => select.value };
}
