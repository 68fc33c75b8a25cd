// The one clock that all files of a recording follow. Seconds of the recording; it stands until it is told to run.

export class Clock {
  #at = 0;
  #since = 0;
  #rate = 1;
  running = false;

  get now() {
    return this.running ? this.#at + ((performance.now() - this.#since) / 1000) * this.#rate : this.#at;
  }

  get rate() {
    return this.#rate;
  }

  set rate(rate) {
    this.set(this.now);
    this.#rate = rate;
  }

  /** Goes to a time, running or not. */
  set(at) {
    this.#at = at;
    this.#since = performance.now();
  }

  run() {
    this.set(this.now);
    this.running = true;
  }

  halt() {
    this.set(this.now);
    this.running = false;
  }
}
