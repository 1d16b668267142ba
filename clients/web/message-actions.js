// What people do with a message: react, answer, edit, delete, pin, look who read it, report it.

import { showEdits, showReceipts, showReport } from './about.js';
import { confirmDialog } from './dialogs.js';
import { showEmoji, showMenu } from './menu.js';
import { EMOJI } from './reactions.js';

export function messageActions(app, chat) {
  const react = (message, emoji) =>
    app.sync.react(message, emoji).catch((error) => app.say(`Not changed: ${error.message}`));
  return {
    react,
    pick: (message, anchor) => showEmoji(anchor, EMOJI, (emoji) => react(message, emoji)),
    reply: (message) => chat.composer.startReply(message),
    edit: (message) => chat.composer.startEdit(message),
    thread: (rootId) => app.thread.openFor(rootId),
    jump: (seq) => chat.jump(seq),
    edits: (message) => showEdits(app, message),
    retry: (clientId) => app.sync.outbox.retry(clientId),
    discard: (clientId) => app.sync.outbox.discard(clientId),
    /** `here` are the actions of the place where the message is shown: a thread answers in the thread. */
    menu: (message, anchor, here) => showMenu(anchor, 'Message actions', entries(app, message, here, anchor)),
  };
}

function entries(app, message, actions, anchor) {
  const { info } = app.openConversation();
  const own = message.sender.id === app.me.id;
  const manager = info.role === 'owner' || info.role === 'admin';
  const mayPin = manager || info.kind === 'direct';
  const smile = anchor.parentElement.firstElementChild;
  return [
    { label: 'Reply', act: () => actions.reply(message) },
    { label: 'React', act: () => actions.pick(message, smile) },
    { label: 'Reply in thread', act: () => actions.thread(message.thread_root_id ?? message.id) },
    message.content && { label: 'Copy text', act: () => copy(app, message) },
    mayPin && { label: message.pinned_at ? 'Unpin' : 'Pin', act: () => pin(app, message) },
    own && { label: 'Who read this', act: () => showReceipts(app, message) },
    own && { label: 'Edit', act: () => actions.edit(message) },
    !own && {
      label: 'Report',
      danger: true,
      act: () => showReport(app, `a message of ${message.sender.display_name}`, { message_id: message.id }),
    },
    (own || manager) && { label: 'Delete', danger: true, act: () => remove(app, message) },
  ];
}

/** Changes the text of one's own message. */
export async function changeText(app, message, text) {
  try {
    app.sync.changedMessage(await app.api.patch(`/v1/messages/${message.id}`, { content: text }));
  } catch (error) {
    app.say(`Not changed: ${error.message}`);
  }
}

async function copy(app, message) {
  try {
    await navigator.clipboard.writeText(message.content);
    app.say('Copied.');
  } catch {
    app.say('The browser did not let this page copy.');
  }
}

async function pin(app, message) {
  try {
    const path = `/v1/messages/${message.id}/pin`;
    app.sync.changedMessage(await (message.pinned_at ? app.api.delete(path) : app.api.put(path)));
  } catch (error) {
    app.say(error.message);
  }
}

async function remove(app, message) {
  const ask = { title: 'Delete this message?', text: 'It disappears for everybody.', yes: 'Delete' };
  if (!(await confirmDialog(ask))) return;
  // The button that asked for it goes with the text. Not after the answer: one may be writing again by then.
  app.chat.composer.focus();
  try {
    const answer = await app.api.delete(`/v1/messages/${message.id}`);
    if (answer) app.sync.changedMessage(answer);
  } catch (error) {
    app.say(`Not deleted: ${error.message}`);
  }
}
