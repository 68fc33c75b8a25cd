// All files of a recording that are played now, together: they begin together, and when one of them has to wait for its bytes,
// all wait.
//
// What comes in while the others play (somebody begins to speak, a picture comes onto the screen) holds up nobody.

import { at } from '../dom.js';
import { Part } from './part.js';

/** How often it is looked how all stand, in ms. */
const LOOK = 50;
/** So long all wait for one of them, in ms; then they go on without it until it is back. */
const PATIENCE = 10_000;
/** So long after all have begun the clock is set by what they do: they need a moment to get going. In ms. */
const GET_GOING = 250;

export class Ensemble {
  #parts = new Map();
  /** What all wait for: since when. */
  #gathering;
  #begun;
  #muted = false;
  #mixed = false;
  playing = false;

  /**
   * `address(file)`: where a file is. `on.problem(part, code)`: one cannot be played; `on.look(at)`: time goes on;
   * `on.refused()`: the browser wants to be asked by a person.
   */
  constructor(clock, score, address, on) {
    Object.assign(this, { clock, score, address, on });
    this.timer = setInterval(() => this.#look(), LOOK);
  }

  play() {
    if (this.playing) return;
    if (this.clock.now >= this.score.duration - 0.05) this.clock.set(0);
    this.playing = true;
    this.#gather();
  }

  pause() {
    this.playing = false;
    this.clock.halt();
    for (const part of this.#parts.values()) part.pause();
    this.#look();
  }

  /** Goes to a time, playing or not. */
  seek(at) {
    this.clock.halt();
    this.clock.set(Math.max(0, Math.min(this.score.duration, at)));
    this.#gather();
  }

  set rate(rate) {
    this.clock.rate = rate;
    this.#look();
  }

  set muted(muted) {
    this.#muted = muted;
    for (const part of this.#parts.values()) if (part.kind === 'audio') part.element.muted = muted;
  }

  /** Whether the sound of all may come as one file. */
  set mixed(mixed) {
    if (mixed === this.#mixed) return;
    this.#mixed = mixed;
    this.#gather();
  }

  /** Whether all wait for one. */
  get waiting() {
    return this.playing && !this.clock.running;
  }

  /** Which pictures are on the screen: the elements, with what they are to show. */
  show(pictures) {
    const wanted = new Set(pictures.map(({ part }) => part.key));
    for (const [key, part] of this.#parts) if (part.kind === 'video' && !wanted.has(key)) this.#release(key);
    for (const { part, element } of pictures) {
      const there = this.#parts.get(part.key);
      if (there && there.element !== element) this.#release(part.key);
      if (!this.#parts.has(part.key)) this.#take(part, element);
    }
  }

  #take(about, element) {
    const part = new Part(about, element, this.address(about.file), this.on.problem);
    if (about.kind === 'audio') element.muted = this.#muted;
    this.#parts.set(about.key, part);
    // What begins soon waits at its beginning; what has begun long ago comes in.
    if (!this.clock.running || this.clock.now < about.from) part.place(this.clock.now);
  }

  #release(key) {
    const part = this.#parts.get(key);
    part.release();
    if (part.kind === 'audio') part.element.remove();
    this.#parts.delete(key);
  }

  /** All stop, go to the time of the clock, and wait for each other. */
  #gather() {
    this.clock.halt();
    this.#begun = undefined;
    this.#gathering = performance.now();
    this.#choose();
    for (const part of this.#parts.values()) part.place(this.clock.now);
    this.#look();
  }

  /** The files of sound that belong to this time. */
  #choose() {
    const wanted = new Map(this.score.sounds(this.clock.now, this.#mixed).map((about) => [about.key, about]));
    for (const [key, part] of this.#parts) if (part.kind === 'audio' && !wanted.has(key)) this.#release(key);
    for (const [key, about] of wanted) if (!this.#parts.has(key)) this.#take(about, this.#speaker());
  }

  #speaker() {
    const element = new Audio();
    at('sounds').append(element);
    return element;
  }

  #look() {
    const { clock } = this;
    this.#choose();
    this.on.look(clock.now);
    const now = clock.now;
    if (this.playing && now >= this.score.duration) {
      clock.set(this.score.duration);
      return this.pause();
    }
    const due = [...this.#parts.values()].filter((part) => part.due(now));
    if (clock.running) this.#go(now, due);
    else if (this.playing) this.#start(due);
    return undefined;
  }

  #start(due) {
    const patient = performance.now() - this.#gathering < PATIENCE;
    if (patient && due.some((part) => !part.ready)) return;
    this.clock.run();
    this.#begun = performance.now();
    for (const part of due.filter((one) => one.ready)) {
      part.join(this.clock.rate).catch((error) => {
        if (error.name !== 'NotAllowedError') return;
        this.pause();
        this.on.refused();
      });
    }
  }

  #go(now, due) {
    if (due.some((part) => part.joined && part.starves)) return this.#gather();
    const going = this.#begun !== undefined && performance.now() - this.#begun < GET_GOING;
    if (this.#begun !== undefined && !going) {
      this.#begun = undefined;
      const offsets = due.filter((part) => part.joined).map((part) => part.off(now)).sort((one, other) => one - other);
      if (offsets.length > 0) this.clock.set(now + offsets[offsets.length >> 1]);
    }
    for (const part of this.#parts.values()) {
      if (!part.due(now)) part.pause();
      else if (!going || !part.joined) part.follow(this.clock.now, this.clock.rate);
    }
    return undefined;
  }
}
