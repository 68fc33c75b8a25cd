// One tile: the camera of somebody, or a screen. It looks as in the meeting.

import { colour, copy, initials, say } from '../dom.js';

/** A picture whose shape differs more than this from its tile is shown whole, with bars. */
const TOO_DIFFERENT = 1.9;

export class Tile {
  /** `about` is of the score; `onPin(key)` is called when somebody chooses it. */
  constructor(about, onPin) {
    this.key = about.key;
    this.element = copy('tile');
    this.element.dataset.identity = about.identity;
    this.element.dataset.source = about.screen ? 'screen' : 'camera';
    this.element.classList.add(about.screen ? 'screen' : colour(about.identity));
    this.video = this.element.querySelector('video');
    this.pin = this.element.querySelector('.pin');
    const shown = about.screen ? `${about.name}’s screen` : about.name;
    say(this.element.querySelector('.name'), shown);
    say(this.element.querySelector('.initials'), initials(about.name));
    this.video.setAttribute('aria-label', shown);
    this.pin.setAttribute('aria-label', `Pin ${shown}`);
    for (const event of ['resize', 'loadeddata', 'emptied', 'seeked', 'error']) this.video.addEventListener(event, () => this.#fit());
    this.pin.addEventListener('click', () => onPin(this.key));
  }

  update(about, { speaking, pictures }) {
    this.about = about;
    this.part = pictures ? about.part : undefined;
    this.element.classList.toggle('muted', about.muted);
    this.element.classList.toggle('speaking', speaking && !about.screen);
    this.#fit();
  }

  place({ left, top, width, height }, { main = false, pinned = false } = {}) {
    Object.assign(this.element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.element.classList.toggle('main', main);
    this.element.classList.toggle('small', width < 200);
    this.pin.setAttribute('aria-pressed', pinned);
    this.ratio = width / height;
    this.#fit();
  }

  #fit() {
    const { videoWidth, videoHeight, readyState, error } = this.video;
    this.element.classList.toggle('no-picture', !this.part || readyState < 2 || Boolean(error));
    if (!videoWidth) return;
    const different = (videoWidth / videoHeight) / this.ratio;
    this.element.classList.toggle('contain', this.about?.screen || Math.max(different, 1 / different) > TOO_DIFFERENT);
  }
}
