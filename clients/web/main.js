// The page's entry: shows the sign-in or the app, and follows what other tabs do with the session.

import { Api } from './api.js';
import { App } from './app.js';
import { fill } from './dom.js';
import { Session } from './session.js';
import { SignIn } from './signin.js';

const root = document.getElementById('app');
const session = new Session();
const api = new Api(session, (error) => showSignIn(error.message));
let app = null;

/** Whoever was signed in is out, willingly or not: what they began is not for whoever comes next. */
function showSignIn(message = '') {
  app?.drafts.clear();
  app?.close();
  app = null;
  document.title = 'Starling';
  const view = new SignIn({ api, done: showApp, message });
  fill(root, view.node);
  view.focus();
}

function showApp() {
  app?.close();
  app = new App({ api, session, signedOut: showSignIn });
  fill(root, app.node);
  app.start();
}

session.onElsewhere((now) => {
  if (!now && app) showSignIn('You signed out in another tab.');
  else if (now && !app) showApp();
  else if (now && app && now.user.id !== app.me.id) location.reload();
});

if (session.get()) showApp();
else showSignIn();
