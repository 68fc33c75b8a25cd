// What opens beside the pictures, one at a time: what was written, up to now; the chapters. Every time is a way to go there.

import { all, at, copy, say } from '../dom.js';
import { clock } from './wording.js';

export class Beside {
  #written;
  #chapter;

  /** `go(seconds)` goes to a time. */
  constructor(score, go, { signal }) {
    Object.assign(this, { score, go });
    for (const button of all('[data-panel]')) button.addEventListener('click', () => this.toggle(button.dataset.panel), { signal });
    for (const one of score.chat) at('messages').append(this.#message(one));
    for (const one of score.chapters) at('chapter-list').append(this.#entry(one));
    at('no-chapters').hidden = score.chapters.length > 0;
    say(at('no-messages'), score.chat.length > 0 ? 'Nobody has written yet.' : 'Nobody wrote anything that is kept.');
  }

  #message({ at: when, person, text }) {
    const element = copy('message');
    const button = element.querySelector('button');
    element.querySelector('b').textContent = this.score.people.get(person)?.name ?? 'Somebody';
    element.querySelector('.words').textContent = text;
    this.#leads(button, when);
    button.setAttribute('aria-label', `${clock(when)}: go there`);
    element.hidden = true;
    return element;
  }

  #entry({ at: when, title }) {
    const element = copy('chapter');
    element.querySelector('.title').textContent = title;
    this.#leads(element.querySelector('button'), when);
    return element;
  }

  #leads(button, when) {
    button.querySelector('time').textContent = clock(when);
    button.addEventListener('click', () => this.go(when));
  }

  /** Shows a time. */
  show(time) {
    const written = this.score.written(time);
    if (written !== this.#written) {
      const list = at('messages');
      [...list.children].forEach((element, place) => (element.hidden = place >= written));
      list.scrollTop = list.scrollHeight;
      at('no-messages').hidden = written > 0;
      this.#written = written;
    }
    const chapter = this.score.chapter(time);
    if (chapter === this.#chapter) return;
    this.#chapter = chapter;
    [...at('chapter-list').children].forEach((element, place) => {
      const button = element.querySelector('button');
      if (place === chapter) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    });
    say(at('chapter-now'), this.score.chapters[chapter]?.title ?? '');
  }

  get open() {
    return all('.panel').find((panel) => !panel.hidden)?.id;
  }

  /** Opens it, or closes it when it is open. */
  toggle(name) {
    const before = this.open;
    const now = before === name ? undefined : name;
    for (const panel of all('.panel')) panel.hidden = panel.id !== now;
    for (const button of all('#controls [data-panel]')) button.setAttribute('aria-expanded', button.dataset.panel === now);
    at('call').classList.toggle('beside', Boolean(now));
    if (now) at(`${now}-title`).focus();
    else all(`#controls [data-panel="${before}"]`)[0]?.focus();
    if (now === 'chat') at('messages').scrollTop = at('messages').scrollHeight;
  }
}
