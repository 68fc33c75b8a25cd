// One file of a recording on a media element, held to the clock.
//
// 1. placed: sent to where the clock will be in a moment, and loaded;
// 2. joined: it was ready in time, and plays;
// 3. held: a little faster or slower while it is a little off, placed anew when it is far off.

/** So close to the clock, in seconds, nothing is done. */
const GOOD = 0.015;
/** From there on a change of speed would take too long. */
const FAR = 0.35;
/** The largest change of speed: with the pitch kept it is not heard. */
const MOST = 0.08;
/** How far ahead a part is placed that comes in later; more each time that this was not enough, up to the last, in seconds. */
const AHEAD = { first: 0.4, more: 1.7, most: 6 };
/** What is missing at the end of a file is not waited for, in seconds. */
const END = 0.3;

export class Part {
  #ahead = AHEAD.first;
  #target;
  joined = false;

  /** `about` is of the score; `onProblem(part, code)`: it cannot be played. */
  constructor(about, element, address, onProblem) {
    Object.assign(this, about, { element });
    element.preload = 'auto';
    element.preservesPitch = true;
    element.src = address;
    element.onerror = () => {
      this.broken = true;
      onProblem(this, element.error?.code);
    };
  }

  /** Whether it has something to say at that time. */
  due(at) {
    return !this.broken && this.from <= at && at < this.until;
  }

  /** Whether it could go on at once. */
  get ready() {
    const { element } = this;
    if (element.seeking) return false;
    return element.readyState >= 3 || (element.readyState === 2 && element.currentTime > this.until - this.from - END);
  }

  /** Whether it plays, and has nothing to play. */
  get starves() {
    return !this.ready && !this.element.seeking && !this.element.ended;
  }

  /** How far it is ahead of the clock, in seconds. */
  off(at) {
    return this.element.currentTime + this.from - at;
  }

  /** Stands at exactly this time. */
  place(at) {
    this.element.pause();
    this.#target = Math.max(at, this.from);
    this.element.currentTime = this.#target - this.from;
    this.joined = false;
  }

  /** Stops; it stays where it is. */
  pause() {
    this.element.pause();
  }

  /** Plays from where it was placed: all begin in the same moment. Gives what the browser says to it. */
  join(rate) {
    this.joined = true;
    this.#ahead = AHEAD.first;
    this.element.playbackRate = rate;
    // What is at its end would begin anew.
    return this.element.ended ? Promise.resolve() : this.element.play();
  }

  /** The clock runs: comes in when its time has come, holds to it from then on. */
  follow(at, rate) {
    if (!this.joined) return this.#comeIn(at, rate);
    if (this.element.paused && !this.element.ended) this.element.play().catch(() => {});
    const off = this.off(at);
    if (Math.abs(off) > FAR * Math.max(1, rate) && this.ready && !this.element.ended) return this.#placeAhead(at, rate);
    const nudge = Math.abs(off) < GOOD ? 0 : Math.max(-MOST, Math.min(MOST, -2 * off));
    const wanted = rate * (1 + nudge);
    if (Math.abs(this.element.playbackRate - wanted) > 0.004 * rate) this.element.playbackRate = wanted;
    return undefined;
  }

  #comeIn(at, rate) {
    if (this.#target === undefined) return this.#placeAhead(at, rate);
    if (at < this.#target) return undefined;
    const late = at - this.#target;
    if (!this.ready || late > FAR * rate) {
      if (late < AHEAD.most && !this.ready) return undefined; // still loading
      this.#ahead = Math.min(AHEAD.most, this.#ahead * AHEAD.more);
      return this.#placeAhead(at, rate);
    }
    this.join(rate).catch(() => {});
    return undefined;
  }

  #placeAhead(at, rate) {
    this.place(at + this.#ahead * rate);
  }

  /** Lets go of the file: nothing more is loaded of it. */
  release() {
    const { element } = this;
    element.onerror = null;
    element.pause();
    element.removeAttribute('src');
    element.load();
  }
}
