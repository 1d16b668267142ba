// What all dialogs share: a native modal <dialog> with a heading, closed by Esc, its close button or a click beside it.

import { button, h } from './dom.js';

let ids = 0;

/** Builds a dialog; `show()` opens it, `close()` ends and removes it. */
export class Dialog {
  constructor({ title, className = '' }, ...children) {
    const id = `dialog-${++ids}`;
    this.heading = h('h2', { id }, title);
    this.node = h(
      'dialog',
      { class: `dialog ${className}`, 'aria-labelledby': id },
      h(
        'header',
        { class: 'dialog-head' },
        this.heading,
        button('close', 'Close', () => this.close()),
      ),
      h('div', { class: 'dialog-body' }, ...children),
    );
    this.node.addEventListener('close', () => this.node.remove());
    this.node.addEventListener('mousedown', (event) => {
      if (event.target === this.node) this.close();
    });
  }

  show() {
    document.body.append(this.node);
    this.node.showModal();
  }

  close() {
    this.node.close();
  }
}

/** Asks; resolves to true when the user says yes. */
export function confirmDialog({ title, text, yes }) {
  return new Promise((resolve) => {
    let answer = false;
    const no = h(
      'button',
      { type: 'button', class: 'button', autofocus: true, onclick: () => dialog.close() },
      'Cancel',
    );
    const act = h(
      'button',
      {
        type: 'button',
        class: 'button danger',
        onclick: () => {
          answer = true;
          dialog.close();
        },
      },
      yes,
    );
    const dialog = new Dialog(
      { title, className: 'narrow' },
      h('p', {}, text),
      h('div', { class: 'row end' }, no, act),
    );
    dialog.node.addEventListener('close', () => resolve(answer));
    dialog.show();
  });
}

/** A form in a dialog; `save()` may refuse by throwing. */
export function formDialog(title, yes, fields, save) {
  const error = h('p', { class: 'form-error', role: 'alert' });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await save();
      shown.close();
    } catch (refused) {
      error.textContent = refused.errors?.map((e) => `${e.field} ${e.message}`).join('; ') || refused.message;
    }
  };
  const act = h('div', { class: 'row end' }, h('button', { type: 'submit', class: 'button primary' }, yes));
  const shown = new Dialog({ title }, h('form', { onsubmit: submit }, fields, error, act));
  shown.show();
}

/** Runs `work` a moment after the last call. */
export function debounced(work, ms = 200) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, ms);
  };
}
