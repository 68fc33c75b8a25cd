// Captions, from files beside the media. The browser reads them as a track of a player that plays nothing; the clock says which show.

import { at, say } from '../dom.js';
import { keep, recall } from '../preferences.js';
import { language } from './wording.js';

export class Captions {
  #tracks;
  #shown;

  /** `files`: names; `address(file)`: where one is. */
  constructor(files, address, { signal }) {
    const choice = at('captions');
    choice.parentElement.hidden = files.length === 0;
    this.#tracks = new Map(files.map((file) => [file, this.#track(file, address(file))]));
    choice.append(...files.map((file) => new Option(language(file), file)));
    if (this.#tracks.has(recall('captions', ''))) choice.value = recall('captions', '');
    choice.addEventListener('change', () => {
      keep('captions', choice.value);
      this.#choose(choice.value);
    }, { signal });
    this.#choose(choice.value);
  }

  #track(file, address) {
    const element = document.createElement('track');
    Object.assign(element, { kind: 'captions', src: address, label: language(file) });
    at('captioned').append(element);
    return element.track;
  }

  /** Which are loaded, if any. */
  #choose(file) {
    for (const [name, track] of this.#tracks) track.mode = name === file ? 'hidden' : 'disabled';
    this.#shown = this.#tracks.get(file);
    if (!file) say(at('caption'), '');
  }

  /** Shows a time. */
  show(time) {
    if (!this.#shown) return;
    const now = [...(this.#shown.cues ?? [])].filter((cue) => cue.startTime <= time && time < cue.endTime);
    say(at('caption'), now.map((cue) => cue.getCueAsHTML().textContent).join('\n'));
  }
}
