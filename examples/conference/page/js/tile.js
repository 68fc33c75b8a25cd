// One tile: the camera of somebody, or a screen that is shared.

import { colour, copy, initials, say } from './dom.js';

/** A picture whose shape differs more than this from its tile is shown whole, with bars. */
const TOO_DIFFERENT = 1.9;

export class Tile {
  #track;

  /** `onPin(tile)` is called when somebody chooses it. */
  constructor({ participant, source, onPin }) {
    Object.assign(this, { participant, source });
    this.key = `${participant.identity}/${source}`;
    this.element = copy('tile');
    this.element.classList.add(source === 'camera' ? colour(participant.identity) : 'screen');
    this.element.dataset.identity = participant.identity;
    this.element.dataset.source = source;
    this.video = this.element.querySelector('video');
    this.pin = this.element.querySelector('.pin');
    for (const event of ['resize', 'playing', 'emptied']) this.video.addEventListener(event, () => this.#fit());
    this.pin.addEventListener('click', () => onPin(this));
  }

  /** What the participant publishes for this tile, if it is there. */
  get publication() {
    return this.participant.getTrackPublication(this.source);
  }

  /** Shows what is known of the participant now. `state`: something to tell over the picture. */
  update({ state = '', handRaised = false, weak = false }) {
    const own = this.participant.isLocal;
    const name = this.participant.name || this.participant.identity;
    const shown = this.source === 'camera' ? `${name}${own ? ' (you)' : ''}` : own ? 'Your screen' : `${name}’s screen`;
    say(this.element.querySelector('.name'), shown);
    say(this.element.querySelector('.initials'), initials(name));
    say(this.element.querySelector('.state'), state);
    this.video.setAttribute('aria-label', shown);
    this.pin.setAttribute('aria-label', `Pin ${shown}`);
    const mark = (word, on) => this.element.classList.toggle(word, on);
    mark('muted', this.source === 'camera' && !this.participant.isMicrophoneEnabled);
    mark('hand', handRaised);
    mark('weak', weak);
    this.#show();
  }

  /** Marks who speaks. */
  speaking(loud) {
    this.element.classList.toggle('speaking', loud && this.source === 'camera');
  }

  /** Puts it somewhere, as the large one or not. */
  place({ left, top, width, height }, { main = false, pinned = false } = {}) {
    const { style } = this.element;
    Object.assign(style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.element.hidden = false;
    this.element.classList.toggle('main', main);
    this.element.classList.toggle('small', width < 200);
    this.pin.setAttribute('aria-pressed', pinned);
    this.ratio = width / height;
    this.#fit();
  }

  hide() {
    this.element.hidden = true;
  }

  /** Attaches the track that there is, or lets go of one that there is no more. */
  #show() {
    const { publication } = this;
    const track = publication && !publication.isMuted ? publication.videoTrack : undefined;
    if (track !== this.#track) {
      this.#track?.detach(this.video);
      this.#track = track;
      track?.attach(this.video);
      this.video.muted = true; // sound is played elsewhere
    }
    // A camera that looks at the room, not at the person, is no mirror.
    const facing = track?.mediaStreamTrack.getSettings?.().facingMode;
    this.element.classList.toggle('mirror', this.participant.isLocal && this.source === 'camera' && facing !== 'environment');
    this.#fit();
  }

  #fit() {
    const { videoWidth, videoHeight } = this.video;
    this.element.classList.toggle('no-picture', !this.#track || videoWidth === 0);
    if (videoWidth === 0) return;
    const different = (videoWidth / videoHeight) / this.ratio;
    const whole = this.source !== 'camera' || Math.max(different, 1 / different) > TOO_DIFFERENT;
    this.element.classList.toggle('contain', whole);
  }

  remove() {
    this.#track?.detach(this.video);
    this.element.remove();
  }
}

/** Puts these tiles, and no others, into a list in this order, as the keyboard follows it. */
export function inOrder(list, tiles) {
  const focused = document.activeElement;
  tiles.forEach(({ element, video }, index) => {
    const there = list.children[index] ?? null;
    if (there === element) return;
    if (element.isConnected && list.moveBefore) return void list.moveBefore(element, there);
    list.insertBefore(element, there);
    video.play().catch(() => {}); // taken out of the page, it had stopped
  });
  while (list.children.length > tiles.length) list.lastElementChild.remove();
  if (list.contains(focused)) focused.focus({ preventScroll: true });
}
