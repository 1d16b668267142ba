// Waits for what a page does not show, with a deadline.

import assert from 'node:assert/strict';

/** Waits until `check()` resolves to true; else fails with what it resolved to last. */
export async function until(what, check, ms = 15_000) {
  const end = Date.now() + ms;
  let seen;
  while (Date.now() < end) {
    seen = await check();
    if (seen === true) return;
    await new Promise((again) => setTimeout(again, 50));
  }
  assert.fail(`${what} did not happen within ${ms} ms; last seen: ${JSON.stringify(seen)}`);
}
