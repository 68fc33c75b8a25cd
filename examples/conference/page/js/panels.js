// What opens beside the pictures, one at a time: chat, people; and the rest of the controls on a phone.

import { all, at } from './dom.js';

export class Panels {
  /** `onOpen(name)`: a panel has come onto the screen. */
  constructor({ signal }, onOpen) {
    this.onOpen = onOpen;
    for (const button of all('[data-panel]')) button.addEventListener('click', () => this.toggle(button.dataset.panel), { signal });
    at('more').addEventListener('click', () => this.#more(at('more').getAttribute('aria-expanded') !== 'true'), { signal });
    // A choice closes it, and so does a click elsewhere.
    at('call').addEventListener('click', (event) => event.target.closest('#more') || this.#more(false), { signal });
    signal.addEventListener('abort', () => {
      this.#show(undefined);
      this.#more(false);
    });
  }

  /** The name of the one that is open, or nothing. */
  get open() {
    return all('.panel').find((panel) => !panel.hidden)?.id;
  }

  /** Opens it, or closes it when it is open. */
  toggle(name) {
    const opening = this.open !== name;
    if (!opening) return this.close();
    this.#show(name);
    this.onOpen(name);
    (name === 'chat' && !at('write').hidden ? at('text') : at(`${name}-title`)).focus();
    return undefined;
  }

  /** Closes what is open, and gives the focus back to the button that opened it. */
  close() {
    if (at('more').getAttribute('aria-expanded') === 'true') {
      this.#more(false);
      at('more').focus();
      return;
    }
    const { open } = this;
    if (!open) return;
    this.#show(undefined);
    const opener = all(`#controls [data-panel="${open}"]`)[0];
    (opener.offsetParent ? opener : at('more')).focus();
  }

  #show(name) {
    for (const panel of all('.panel')) panel.hidden = panel.id !== name;
    for (const button of all('#controls [data-panel]')) button.setAttribute('aria-expanded', button.dataset.panel === name);
    at('call').classList.toggle('beside', Boolean(name));
  }

  #more(open) {
    at('more').setAttribute('aria-expanded', open);
    at('more-controls').classList.toggle('open', open);
    if (open) at('more-controls').querySelector('button:not([hidden])').focus();
  }
}
