// A recording: who may begins and ends it, everybody says whether they agree, all see how it stands.
//
// While there is one, a participant with the attribute `althing.recording` is in the room: `asks` or `running`. Where only some are
// recorded, `althing.recording.of` says whom.

import { part } from './company.js';
import { at, say } from './dom.js';
import { claims } from './invitation.js';
import { announce, banner, notice } from './news.js';

export class Recording {
  /** What was said, by the recorder's and one's own name for the stay: who comes back is asked again. */
  #answers = new Map();
  #told;

  constructor({ room, sdk, token, name, key, signal }) {
    Object.assign(this, { room, token, name, signal });
    const grant = claims(token)?.video ?? {};
    // What is encrypted end to end nobody could play.
    this.may = Boolean(!key && (grant.roomRecord || grant.roomAdmin));
    const { RoomEvent } = sdk;
    for (const event of ['Connected', 'Reconnected', 'ParticipantConnected', 'ParticipantDisconnected', 'ParticipantAttributesChanged']) {
      room.on(RoomEvent[event], () => this.#show());
    }
    at('record').addEventListener('click', () => this.#toggle(), { signal });
    at('consent').addEventListener('close', ({ target }) => this.#answer(target.returnValue === 'agree'), { signal });
    at('recording').addEventListener('click', () => this.#ask(), { signal });
    at('mark').addEventListener('click', () => {
      at('chapter-name').value = '';
      at('chapter').returnValue = '';
      at('chapter').showModal();
    }, { signal });
    at('chapter').addEventListener('close', ({ target }) => this.#mark(target.returnValue), { signal });
    signal.addEventListener('abort', () => {
      at('consent').close('left');
      at('chapter').close('left');
      at('recording').hidden = true;
    });
    this.#show();
  }

  #stay(recorder) {
    return `${recorder.sid} ${this.room.localParticipant.sid}`;
  }

  get #recorder() {
    return part(this.room, 'althing.recording');
  }

  /** Whether oneself is, or would be. */
  #concerns(recorder) {
    const of = recorder.attributes['althing.recording.of'];
    return of === undefined || JSON.parse(of).includes(this.room.localParticipant.identity);
  }

  async #toggle() {
    const on = Boolean(this.#recorder);
    // The recorder may be here before the answer is: who has asked is not asked.
    this.#asked = !on;
    if (await this.#request('', on ? 'DELETE' : 'POST')) return;
    this.#asked = false;
    this.#answers.clear();
    this.#show();
  }

  /** Whoever asks for a recording agrees with it. */
  #asked = false;

  #show() {
    const recorder = this.#recorder;
    const state = recorder?.attributes['althing.recording'];
    at('record').hidden = !this.may;
    at('record').setAttribute('aria-pressed', Boolean(recorder));
    say(at('record').querySelector('span'), recorder ? 'Stop' : 'Record');
    at('recording').hidden = !recorder;
    at('mark').hidden = !this.may || state !== 'running';
    if (recorder && this.#asked) {
      this.#answers.set(this.#stay(recorder), true);
      this.#asked = false;
    }
    const answer = recorder && this.#answers.get(this.#stay(recorder));
    const words = !recorder ? '' : state === 'running' ? (answer ? 'Recording' : 'Recording, without you') : 'Asking for a recording';
    say(at('recording').querySelector('span'), words);
    if (words !== this.#told) {
      announce(words || (this.#told ? 'The recording is over' : ''));
      if (this.#told && !words && this.may) this.#offer();
      this.#told = words;
    }
    if (!recorder) return void (at('consent').open && at('consent').close('over'));
    if (answer === undefined && this.#concerns(recorder)) this.#ask();
  }

  /** Who may record may also see what was recorded. */
  #offer() {
    const address = `watch#${new URLSearchParams({ room: this.name, token: this.token })}`;
    const act = () => {
      banner('recorded');
      open(address, '_blank', 'noopener');
    };
    banner('recorded', 'The recording is over.', { label: 'Watch it', act });
    this.signal.addEventListener('abort', () => banner('recorded'), { once: true });
    setTimeout(() => banner('recorded'), 60_000);
  }

  #ask() {
    if (at('consent').open) return;
    at('consent').returnValue = ''; // of another recording
    at('consent').showModal();
  }

  async #answer(agrees) {
    const recorder = this.#recorder;
    if (!recorder || this.room.state === 'disconnected') return;
    // What the server has not heard was not said: then it is asked again.
    if (await this.#request('/answer', 'POST', { agrees })) this.#answers.set(this.#stay(recorder), agrees);
    this.#show();
  }

  async #mark(value) {
    const title = at('chapter-name').value.trim();
    if (value === 'mark' && title && (await this.#request('/chapters', 'POST', { title }))) notice(`“${title}” begins here.`);
  }

  /** Asks the server; whether it did what was asked. */
  async #request(path, method, body) {
    const headers = { authorization: `Bearer ${this.token}`, ...(body && { 'content-type': 'application/json' }) };
    try {
      const response = await fetch(`recordings/${encodeURIComponent(this.name)}${path}`, { method, headers, body: body && JSON.stringify(body) });
      if (!response.ok) notice((await response.text()).trim());
      return response.ok;
    } catch {
      notice('The server does not answer.');
      return false;
    }
  }
}
