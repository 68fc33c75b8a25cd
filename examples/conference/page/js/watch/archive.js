// The recordings of a room on the server: which there are, what one holds, its files.
//
// As for a meeting, everything is in the fragment of the address, which browsers do not send: the room, the recording, the
// token (taken out of the address bar at once).

import { claims, obtain } from '../invitation.js';
import { UNREACHABLE, refused } from './wording.js';

const REMEMBERED = 'token of the recordings';

/** What the address says: room, recording, token; each may be missing. */
export function wanted() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get('token') ?? '';
  const room = fragment.get('room') ?? claims(token)?.video?.room ?? '';
  const recording = fragment.get('recording') ?? '';
  if (!token) return { room, recording, token: remembered(room) };
  history.replaceState(null, '', link(room, recording));
  remember(token);
  return { room, recording, token };
}

/** The address of a recording, or of the list of all. */
export function link(room, recording = '') {
  return `${location.pathname}#${new URLSearchParams({ room, ...(recording && { recording }) })}`;
}

export class Archive {
  #token;

  /** Throws what to tell the person when there is no way to ask. */
  static async at({ room, token }) {
    const { token: good } = await obtain({ room, name: 'viewer', token, publish: true });
    return new Archive(room, good);
  }

  constructor(room, token) {
    this.room = room;
    this.#token = token;
  }

  get mayDelete() {
    return Boolean(claims(this.#token)?.video?.roomAdmin);
  }

  /** The latest that are kept, the last one first. */
  async list() {
    const wanted = new URLSearchParams({ room: this.room, limit: 200 });
    return (await (await this.#ask(`recordings?${wanted}`)).json()).recordings;
  }

  /** One of them: `manifest`, `captions`, and `file(name)`, the address of a file. */
  async open(recording) {
    const { pass, ...rest } = await (await this.#ask(this.#address(recording))).json();
    const file = (name) => this.#address(recording, pass, name);
    return { ...rest, file };
  }

  async remove(recording) {
    await this.#ask(this.#address(recording), 'DELETE');
  }

  #address(...parts) {
    return ['recordings', this.room, ...parts].map(encodeURIComponent).join('/');
  }

  async #ask(address, method = 'GET') {
    const response = await fetch(address, { method, headers: { authorization: `Bearer ${this.#token}` } }).catch(() => undefined);
    if (!response) throw new Error(UNREACHABLE);
    if (response.ok) return response;
    throw new Error(refused(response.status, (await response.text()).trim()));
  }
}

// As long as the tab is open, so that one may go from one recording to the next.
function remember(token) {
  try {
    sessionStorage.setItem(REMEMBERED, token);
  } catch {} // then each needs its own link
}

function remembered(room) {
  try {
    const token = sessionStorage.getItem(REMEMBERED) ?? '';
    return claims(token)?.video?.room === room ? token : '';
  } catch {
    return '';
  }
}
