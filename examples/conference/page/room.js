// What the server says about a room: who is there and what they send. No media.

import { Refused } from '/session.js';

/** How long to wait before asking again after the event stream broke, in ms: doubled each time up to the last. */
const RETRY = [500, 1000, 2000, 4000, 8000];

/** Follows a room; `change` (detail: its participants) whenever something is different, `lost` and `found` for the way to the server. */
export class Room extends EventTarget {
  #token;
  #abort = new AbortController();

  constructor(room, token) {
    super();
    this.room = room;
    this.#token = token;
    this.address = `/rooms/${encodeURIComponent(room)}`;
  }

  /** The participants now. */
  async read() {
    const response = await this.#get(this.address, 'application/json');
    return (await response.json()).participants;
  }

  /** Follows the room until `close`. */
  async follow() {
    for (let tries = 0; !this.#abort.signal.aborted; tries += 1) {
      try {
        const response = await this.#get(`${this.address}/events`, 'text/event-stream');
        tries = 0;
        this.dispatchEvent(new Event('found'));
        await this.#drain(response.body);
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (error instanceof Refused && error.status < 500) return this.#tell('refused', error);
      }
      if (this.#abort.signal.aborted) return;
      this.#tell('lost');
      await new Promise((done) => setTimeout(done, RETRY[Math.min(tries, RETRY.length - 1)]));
    }
  }

  /** Stops following. */
  close() {
    this.#abort.abort();
  }

  async #get(url, accept) {
    const headers = { accept, ...(this.#token && { authorization: `Bearer ${this.#token}` }) };
    const response = await fetch(url, { headers, signal: this.#abort.signal, cache: 'no-store' });
    if (!response.ok) throw new Refused(response.status, (await response.text()).trim());
    return response;
  }

  // EventSource cannot carry the token, so fetch does. Each event is the whole room: there is nothing to miss.
  async #drain(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop();
      const news = lines.filter((line) => line.startsWith('data:')).pop();
      if (news) this.#tell('change', JSON.parse(news.slice(5)).participants);
    }
  }

  #tell(type, detail) {
    if (!this.#abort.signal.aborted) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
