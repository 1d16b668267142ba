// What the desktop shows: nothing before it is known whom we block, and then what came until it was.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Desktop } from '../desktop.js';
import { State } from '../state.js';
import { ADA, conversation, ME, Memory, message, sender } from './fixtures.js';

/** A hidden tab whose user said yes, and what it shows. */
function hiddenTab() {
  const shown = [];
  const state = new State(ME);
  state.load({ epoch: 'e', user_seq: 1 }, [conversation()]);
  globalThis.document = { visibilityState: 'hidden' };
  globalThis.localStorage = new Memory();
  globalThis.Notification = class {
    static permission = 'granted';
    constructor(title, { body }) {
      shown.push(body);
    }
  };
  globalThis.window = { Notification: globalThis.Notification };
  const desktop = new Desktop({ me: sender(ME), sync: { state } });
  localStorage.setItem(desktop.key, 'on');
  return { desktop, state, shown };
}

const soon = () => new Promise((done) => setImmediate(done));

test('what comes before it is known whom we block waits for that', async () => {
  const { desktop, state, shown } = hiddenTab();
  desktop.message(message(1, { content: 'by Ada' }));
  desktop.message(message(2, { content: 'by Ben', sender: sender('ben') }));
  await soon();
  assert.deepEqual(shown, []);
  state.aside(state.askAside(), { blocks: [sender(ADA)] });
  desktop.settled();
  desktop.settled();
  await soon();
  assert.deepEqual(shown, ['by Ben'], 'once, and nothing of whom we block');
  desktop.message(message(3, { content: 'later', sender: sender('ben') }));
  await soon();
  assert.deepEqual(shown, ['by Ben', 'later']);
});
