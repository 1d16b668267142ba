// The sign-in page: a name is enough where the server lets guests in; else a password, else a token of the
// app that this server belongs to. What the server has switched off is found out by asking.

import { fill, h, icon } from './dom.js';

const DEVICE = 'Web client';

const WAYS = {
  guest: { title: 'Just a name', intro: 'Pick a name and start chatting.' },
  password: { title: 'Name and password', intro: 'Sign in, or create an account.' },
  token: { title: 'Access token', intro: 'Paste a token from the app that this server belongs to.' },
};

export class SignIn {
  constructor({ api, done, message }) {
    Object.assign(this, { api, done });
    this.error = h('p', { class: 'form-error', role: 'alert' }, message);
    this.body = h('div', {});
    this.node = h(
      'main',
      { class: 'signin' },
      h(
        'div',
        { class: 'signin-card' },
        h('img', { src: '/favicon.svg', alt: '', width: '56', height: '56' }),
        h('h1', {}, 'Starling'),
        this.body,
      ),
    );
    this.show('guest', message);
  }

  focus() {
    this.node.querySelector('input')?.focus();
  }

  show(way, message = '') {
    this.error.textContent = message;
    const others = Object.keys(WAYS).filter((other) => other !== way);
    fill(
      this.body,
      h('p', { class: 'quiet' }, WAYS[way].intro),
      this[way](),
      h(
        'p',
        { class: 'signin-others quiet' },
        'Or use: ',
        others.map((other) =>
          h('button', { type: 'button', class: 'link', onclick: () => this.#switch(other) }, WAYS[other].title),
        ),
      ),
    );
  }

  guest() {
    const name = field('Your name', { name: 'username', autocomplete: 'nickname', maxlength: '32' });
    return this.#form([name], [submit('Start chatting')], () =>
      this.api.signIn('guest', { username: name.input.value.trim(), device: DEVICE }),
    );
  }

  password() {
    const name = field('Name', { name: 'username', autocomplete: 'username', maxlength: '32' });
    const password = field('Password', {
      name: 'password',
      type: 'password',
      autocomplete: 'current-password',
      maxlength: '256',
    });
    const create = h('button', { type: 'submit', class: 'button', value: 'register' }, 'Create account');
    return this.#form([name, password], [submit('Sign in'), create], (way) =>
      this.api.signIn(way || 'login', {
        username: name.input.value.trim(),
        password: password.input.value,
        device: DEVICE,
      }),
    );
  }

  token() {
    const token = field('Token', { name: 'token', autocomplete: 'off', spellcheck: 'false' });
    return this.#form([token], [submit('Sign in')], () => this.api.useToken(token.input.value.trim()));
  }

  #switch(way, message) {
    this.show(way, message);
    this.focus();
  }

  #form(fields, buttons, work) {
    const send = async (event) => {
      event.preventDefault();
      for (const button of buttons) button.disabled = true;
      this.error.textContent = '';
      try {
        await work(event.submitter?.value);
        this.done();
      } catch (error) {
        this.#refused(error);
      }
      for (const button of buttons) button.disabled = false;
    };
    return h(
      'form',
      { onsubmit: send },
      fields.map((f) => f.label),
      this.error,
      h('div', { class: 'row' }, buttons),
    );
  }

  #refused(error) {
    if (error.code === 'sign_in_disabled') {
      const next = this.node.querySelector('[name=password]') ? 'token' : 'password';
      this.#switch(next, `${error.message.replace(/\.?$/, '.')} Try this instead.`);
      return;
    }
    const details = error.errors.map((e) => `${e.field} ${e.message}`).join('; ');
    const text = {
      username_taken: 'Somebody else has this name. Pick another one.',
      invalid_credentials: 'Wrong name or password.',
    };
    this.error.textContent = text[error.code] ?? (details || error.message);
  }
}

/** A labelled input. */
export function field(label, attributes = {}) {
  const input = h('input', { required: true, ...attributes });
  return { input, label: h('label', { class: 'field' }, h('span', {}, label), input) };
}

function submit(text) {
  return h('button', { type: 'submit', class: 'button primary' }, text, icon('send'));
}
