// What browser tests share: a server and a browser for a file, people who leave after each scenario, and a wait.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch, Person } from './person.js';
import { Server } from './server.js';

export { until } from './until.js';

const PATIENCE = { timeout: 90_000 };

/** What browsers complain of while a server is away. */
export const OUTAGE = /ERR_CONNECTION_|WebSocket connection to|ERR_EMPTY_RESPONSE|status of 503/;

/** A title that nobody else has on a server that runs already. */
export const room = (name) => (process.env.BASE_URL ? `${name} ${Date.now().toString(36)}` : name);

/** A suite: `define({scenario, arrive, pair, the})`; `the` has the `server` and the `browser`, `env` is the server's. */
export function stage(title, define, env = {}) {
  describe(title, { concurrency: false }, () => {
    const the = {};
    let people = [];

    before(async () => {
      the.server = await Server.start(env);
      the.browser = await launch();
    });

    after(async () => {
      await the.browser?.close();
      await the.server?.stop();
    });

    const arrive = async (name, options) => {
      const person = await Person.arrive(the.browser, the.server.url, name, options);
      people.push(person);
      return person;
    };

    /** Two people in a public room of that title. */
    const pair = async (title) => {
      const ada = await arrive('Ada');
      const ben = await arrive('Ben');
      await ada.createRoom(title);
      await ben.joinRoom(title);
      return [ada, ben];
    };

    /** A test whose people leave after it, and whose pages must not have complained. */
    const scenario = (name, work, { expected = /favicon\.ico/, skip = false } = {}) =>
      test(name, { ...PATIENCE, skip }, async () => {
        try {
          await work();
          const errors = people.flatMap((person) => person.errors).filter((error) => !expected.test(error));
          assert.deepEqual(errors, [], 'no errors on the console');
        } catch (error) {
          for (const [n, person] of people.entries()) {
            await person.shot(`failed-${name.replace(/\W+/g, '-')}-${n}`).catch(() => {});
            console.error(`${person.name}'s console:`, person.errors);
          }
          if (the.server.log) console.error(`server's log:\n${the.server.log}`);
          throw error;
        } finally {
          for (const person of people) await person.leave();
          people = [];
        }
      });

    define({ scenario, arrive, pair, the });
  });
}
