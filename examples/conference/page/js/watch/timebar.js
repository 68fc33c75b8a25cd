// Where one is, and how to get elsewhere: the bar, with the places of the chapters.

import { at, say } from '../dom.js';
import { clock, spoken } from './wording.js';

/** While the bar is dragged, the pictures follow so often, in ms. */
const DRAG = 200;

export class Timebar {
  #dragged = 0;

  /** `go(seconds)` goes to a time. */
  constructor(score, go, { signal }) {
    this.duration = score.duration;
    const bar = at('bar');
    bar.max = score.duration;
    say(at('duration'), clock(score.duration));
    bar.addEventListener('input', () => {
      this.#tell(Number(bar.value));
      if (performance.now() - this.#dragged < DRAG) return;
      this.#dragged = performance.now();
      go(Number(bar.value));
    }, { signal });
    bar.addEventListener('change', () => go(Number(bar.value)), { signal });
    for (const chapter of score.chapters) {
      const mark = document.createElement('span');
      mark.style.setProperty('left', `${(100 * chapter.at) / score.duration}%`);
      at('marks').append(mark);
    }
  }

  /** Shows a time. */
  show(time) {
    at('bar').value = time;
    this.#tell(time);
  }

  #tell(time) {
    at('bar').style.setProperty('--done', `${(100 * time) / this.duration}%`);
    say(at('now'), clock(time));
    const said = `${spoken(time)} of ${spoken(this.duration)}`;
    if (at('bar').getAttribute('aria-valuetext') !== said) at('bar').setAttribute('aria-valuetext', said);
  }
}
