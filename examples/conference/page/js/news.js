// What is read out to those who do not see the page, and the banner for all.

import { at, say } from './dom.js';

/** How long news wait for others that can be told in the same breath, in ms. */
const BREATH = 700;

let waiting = [];
let timer;

/** Reads something out, politely. Much at once is told in one. */
export function announce(text) {
  waiting.push(text);
  timer ??= setTimeout(() => {
    const told = waiting.length > 3 ? [...waiting.slice(0, 2), `and ${waiting.length - 2} more changes`] : waiting;
    at('news').textContent = told.join('. ');
    waiting = [];
    timer = undefined;
  }, BREATH);
}

/** Joins and leaves of many are told as a number. */
export class Comings {
  #names = { come: [], gone: [] };
  #timer;

  come(name) {
    this.#note('come', name);
  }

  gone(name) {
    this.#note('gone', name);
  }

  #note(what, name) {
    this.#names[what].push(name);
    this.#timer ??= setTimeout(() => {
      const { come, gone } = this.#names;
      if (come.length > 0) announce(come.length <= 2 ? `${come.join(' and ')} joined` : `${come.length} people joined`);
      if (gone.length > 0) announce(gone.length <= 2 ? `${gone.join(' and ')} left` : `${gone.length} people left`);
      this.#names = { come: [], gone: [] };
      this.#timer = undefined;
    }, BREATH);
  }
}

/** Lasting news, by what they are about: the first that is there is shown. */
const lasting = new Map();

/** Shows something in the banner until `banner(about)` is called without a text. `action`: a label and what it does. */
export function banner(about, text, action) {
  if (text) lasting.set(about, { text, action });
  else if (!lasting.delete(about)) return;
  const [shown] = lasting.values();
  const [words, button] = at('banner').children;
  say(words, shown?.text ?? '');
  button.hidden = !shown?.action;
  button.textContent = shown?.action?.label ?? '';
  button.onclick = shown?.action?.act ?? null;
}

/** Shows something for some seconds. */
export function notice(text, seconds = 6) {
  banner('notice', text);
  setTimeout(() => lasting.get('notice')?.text === text && banner('notice'), seconds * 1000);
}

/** Forgets all that the banner shows. */
export function clearBanner() {
  for (const about of [...lasting.keys()]) banner(about);
}
