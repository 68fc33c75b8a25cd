// The lobby: who one is, where one goes, whether camera and microphone work.

import { all, at, icon, level } from './dom.js';
import { given, obtain } from './invitation.js';
import { newKey } from './encryption.js';
import { keep, recall } from './preferences.js';
import { refused } from './wording.js';

/** How often the level is shown, in ms. */
const LEVEL_EVERY = 100;

export class Lobby {
  #ticker;

  /** `enter(visit)` comes into the room, and throws when it cannot. */
  constructor(devices, enter) {
    this.devices = devices;
    this.enter = enter;
    devices.addEventListener('change', () => this.#show());
    for (const button of all('#lobby [data-device]')) button.addEventListener('click', () => this.#toggle(button.dataset.device));
    at('join').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit(event.submitter?.value !== 'watch');
    });
    at('key').addEventListener('input', () => this.#showKey());
    at('new-key').addEventListener('click', () => {
      at('key').value = newKey();
      this.#showKey();
    });
    addEventListener('hashchange', () => !at('lobby').hidden && this.#fill());
    this.#fill();
  }

  #fill() {
    const { room, name, token, key } = given();
    at('room').value = room;
    at('name').value = name || recall('name', '');
    at('token').value = token;
    at('key').value = key;
    this.#showKey();
  }

  /** Shows the lobby, with what is to be told. */
  async open(problem = '') {
    at('lobby').hidden = false;
    at('call').hidden = true;
    document.title = 'Althing';
    this.devices.wanted = recall('wanted', { audio: true, video: true });
    at('problem').textContent = problem;
    this.#show();
    this.#ticker ??= setInterval(() => level(at('level'), this.devices.level()), LEVEL_EVERY);
    const trouble = await this.devices.start();
    if (trouble && !at('problem').textContent) at('problem').textContent = trouble;
  }

  #close() {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    at('lobby').hidden = true;
    at('call').hidden = false;
  }

  #showKey() {
    at('sealed-state').textContent = at('key').value.trim() ? ': on' : ': off';
  }

  async #toggle(kind) {
    at('problem').textContent = (await this.devices.set(kind, !this.devices.on(kind))) ?? '';
    keep('wanted', this.devices.wanted);
  }

  #show() {
    for (const button of all('#lobby [data-device]')) {
      const on = this.devices.on(button.dataset.device);
      button.setAttribute('aria-pressed', on);
      icon(button, `${button.dataset.device === 'audio' ? 'mic' : 'camera'}${on ? '' : '-off'}`);
    }
    const picture = this.devices.on('video');
    const stream = picture ? this.devices.stream : null; // one without tracks would keep the page loading for ever
    if (at('preview').srcObject !== stream) at('preview').srcObject = stream;
    at('preview').hidden = !picture;
    at('preview-hint').hidden = picture;
    at('level-hint').textContent = this.devices.on('audio')
      ? 'Say something: the bar moves when your microphone hears you.'
      : 'Your microphone is off.';
  }

  async #submit(publish) {
    const buttons = all('button', at('join'));
    at('problem').textContent = '';
    for (const button of buttons) button.disabled = true;
    try {
      const asked = { room: at('room').value.trim(), name: at('name').value.trim(), token: at('token').value.trim(), publish };
      const { token, room, mayPublish } = await obtain(asked);
      keep('name', asked.name);
      await this.enter({ room, token, publish: publish && mayPublish, key: at('key').value.trim() });
      this.#close();
      at('title').focus();
    } catch (error) {
      if (error.needed) {
        at('token-field').hidden = false;
        at('token').focus();
      }
      at('problem').textContent = refused(error);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }
}
