// The page: from the door into the room and out again. Media is in session.js, the room's news in room.js.

import { Devices } from '/devices.js';
import { Room } from '/room.js';
import { Publisher, Refused, Watcher } from '/session.js';
import { Tile, keepLaidOut } from '/tiles.js';

/** How long to wait before a lost connection is made anew, in ms: the last value is kept. */
const RETRY = [300, 1000, 2000, 4000, 8000];
/** Sound above this level (0 to 1) counts as speaking. */
const SPEAKING = 0.02;

/** Widest tile, in pixels of the screen, for which each of the lower encodings is good enough. */
const LAYERS = [360, 720];

const at = (id) => document.getElementById(id);
const devices = new Devices();
let call;

/** One visit to a room. */
class Call {
  #others = new Map();
  #closed = false;
  #tries = 0;

  constructor({ room, identity, name, token, publish }) {
    Object.assign(this, { room, identity, name, token, publish });
    this.news = new Room(room, token);
    this.news.addEventListener('change', ({ detail }) => this.#show(detail));
    this.news.addEventListener('lost', () => trouble('The server does not answer. Trying again…'));
    this.news.addEventListener('found', () => trouble(''));
    this.news.addEventListener('refused', ({ detail }) => trouble(detail.message));
    this.ticker = setInterval(() => this.#listen(), 200);
  }

  /** Publishes (if wanted) and begins to follow the room. Throws what the server refuses. */
  async start() {
    if (this.publish) {
      this.tile = new Tile(at('tiles'), this.name, { own: true });
      this.tile.play(devices.stream);
      this.showOwn();
    }
    if (this.publish && devices.stream.getTracks().length > 0) await this.#publish();
    else await this.news.read(); // the server's word on the token, before the door closes behind us
    this.news.follow();
  }

  async #publish() {
    const before = this.session;
    const session = new Publisher(`/whip/${encodeURIComponent(this.room)}`, this.token);
    this.session = session;
    session.addEventListener('state', ({ detail }) => {
      if (this.session !== session || this.#closed) return;
      this.tile.say(detail === 'connected' ? '' : detail === 'connecting' ? 'connecting' : 'connecting again');
      if (detail === 'connected') {
        this.#tries = 0;
        before?.close();
      }
      if (detail === 'failed') this.#publishAgain();
    });
    await session.start(devices.stream);
    for (const kind of ['audio', 'video']) if (session[kind] && !devices.on(kind)) await session.mute(kind, true);
  }

  async #publishAgain() {
    this.session?.close();
    await new Promise((done) => setTimeout(done, RETRY[Math.min(this.#tries, RETRY.length - 1)]));
    this.#tries += 1;
    if (this.#closed) return;
    try {
      await this.#publish();
      trouble('');
    } catch (error) {
      trouble(explain(error));
      if (!(error instanceof Refused && error.status < 500)) this.#publishAgain();
    }
  }

  /** Sends what the devices give now. */
  async deviceChanged(kind) {
    this.showOwn();
    if (!this.publish || this.#closed) return;
    const track = devices.track(kind) ?? null;
    try {
      if (!this.session?.[kind]) return track && (await this.#publish()); // this kind was not there when the session began
      await this.session.replace(kind, track);
      await this.session.mute(kind, !devices.on(kind));
    } catch (error) {
      trouble(explain(error));
    }
  }

  showOwn() {
    this.tile?.show({ picture: devices.on('video'), sound: devices.on('audio') });
  }

  #show(participants) {
    const here = new Map(participants.filter((p) => p.identity !== this.identity).map((p) => [p.identity, p]));
    for (const [identity, other] of this.#others) {
      if (here.has(identity)) continue;
      this.#others.delete(identity);
      other.close();
      announce(`${other.name} has left`);
    }
    for (const [identity, participant] of here) {
      const known = this.#others.get(identity);
      if (known) known.update(participant);
      else {
        this.#others.set(identity, new Other(this, participant));
        announce(`${participant.name || identity} is here`);
      }
    }
    const count = this.#others.size + (this.publish ? 1 : 0);
    at('count').textContent = count === 1 ? (this.publish ? 'only you' : '1 person') : count === 0 ? 'nobody yet' : `${count} people`;
  }

  #listen() {
    for (const other of this.#others.values()) other.listen();
  }

  async close() {
    this.#closed = true;
    clearInterval(this.ticker);
    this.news.close();
    for (const other of this.#others.values()) other.close();
    this.#others.clear();
    this.tile?.remove();
    await this.session?.close();
  }
}

/** Somebody else in the room. */
class Other {
  #closed = false;
  #tries = 0;

  constructor(call, participant) {
    this.call = call;
    this.identity = participant.identity;
    this.tile = new Tile(at('tiles'), participant.name || participant.identity);
    this.sizes = new ResizeObserver(() => this.#fit());
    this.sizes.observe(this.tile.element);
    this.update(participant);
  }

  // A small tile needs no large picture: ask for the encoding that fits.
  #fit() {
    const width = this.tile.element.clientWidth * devicePixelRatio;
    const layer = LAYERS.findIndex((widest) => width <= widest);
    if (this.session?.state !== 'connected' || layer === this.layer || width === 0) return;
    this.layer = layer;
    this.session.limit(layer < 0 ? undefined : layer).catch(() => {}); // the picture is larger than it need be: no harm
  }

  update(participant) {
    this.name = participant.name || participant.identity;
    this.tile.rename(this.name);
    const tracks = participant.tracks ?? [];
    const sends = (kind) => tracks.some((track) => track.kind === kind && !track.muted);
    this.tile.show({ picture: sends('video'), sound: sends('audio') });
    if (tracks.length > 0 && !this.session) this.#watch(); // later tracks come on the same session
  }

  async #watch() {
    this.session?.close();
    const url = `/whep/${encodeURIComponent(this.call.room)}/${encodeURIComponent(this.identity)}`;
    const session = new Watcher(url, this.call.token);
    this.session = session;
    session.addEventListener('tracks', async ({ detail }) => {
      if (!(await this.tile.play(detail))) askForClick(() => this.tile.play(detail));
    });
    session.addEventListener('state', ({ detail }) => {
      if (this.session !== session || this.#closed) return;
      this.tile.say(detail === 'connected' ? '' : detail === 'connecting' ? 'connecting' : 'connecting again');
      if (detail === 'connected') {
        this.#tries = 0;
        this.layer = undefined;
        this.#fit();
      }
      if (detail === 'failed') this.#again();
    });
    try {
      await session.start();
    } catch (error) {
      if (this.session !== session || this.#closed) return;
      if (error instanceof Refused && error.status === 406) {
        this.tile.say('This browser cannot play what they send.', { busy: false });
      } else if (error instanceof Refused && [401, 403].includes(error.status)) {
        this.tile.say('');
        trouble(explain(error));
      } else {
        this.tile.say('connecting again');
        this.#again();
      }
    }
  }

  async #again() {
    const session = this.session;
    session.close();
    await new Promise((done) => setTimeout(done, RETRY[Math.min(this.#tries, RETRY.length - 1)]));
    this.#tries += 1;
    if (!this.#closed && this.session === session) this.#watch();
  }

  listen() {
    const receiver = this.session?.pc.getReceivers().find((one) => one.track.kind === 'audio');
    const source = receiver?.getSynchronizationSources?.()[0];
    this.tile.speaking((source?.audioLevel ?? 0) > SPEAKING);
  }

  close() {
    this.#closed = true;
    this.sizes.disconnect();
    this.session?.close();
    this.tile.remove();
  }
}

function explain(error) {
  if (error instanceof Refused) {
    if (error.status === 401) return `The server does not accept this invitation: ${error.message}`;
    if (error.status === 403) return `This invitation is not for this room: ${error.message}`;
    return `The server says: ${error.message}`;
  }
  if (error instanceof TypeError) return 'The server cannot be reached.';
  return error.message;
}

function trouble(text) {
  at('trouble').textContent = text;
  at('trouble').hidden = !text;
}

function announce(text) {
  at('news').textContent = text;
}

function askForClick(then) {
  trouble('Click anywhere to hear the others.');
  addEventListener('click', () => {
    trouble('');
    then();
  }, { once: true });
}

/** What a token says about itself; it is the server that checks it. */
function claims(token) {
  try {
    const text = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  } catch {
    return undefined;
  }
}

/** A token of the server's development key, or nothing where there is none. */
async function developmentToken(room, name, publish) {
  const response = await fetch('/dev/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room, name, publish }),
  });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Refused(response.status, (await response.text()).trim());
  return (await response.json()).token;
}

async function enter(event) {
  event.preventDefault();
  const form = at('join');
  at('problem').textContent = '';
  for (const button of form.querySelectorAll('button')) button.disabled = true;
  try {
    const publish = event.submitter?.value !== 'watch';
    let room = at('room').value.trim();
    const name = at('name').value.trim();
    const token = at('token').value.trim() || (await developmentToken(room, name, publish));
    const claimed = token && claims(token);
    if (!claimed) {
      at('token-field').hidden = false;
      at('token').focus();
      throw new Error(token ? 'This is not a token.' : 'This server needs an invitation.');
    }
    room = claimed.video?.room ?? room;
    localStorage.setItem('name', name);
    call = new Call({ room, identity: claimed.sub, name: claimed.name || name, token, publish });
    await call.start();
    showCall(room, publish);
  } catch (error) {
    call?.close();
    call = undefined;
    at('problem').textContent = explain(error);
  } finally {
    for (const button of form.querySelectorAll('button')) button.disabled = false;
  }
}

function showCall(room, publish) {
  at('lobby').hidden = true;
  at('call').hidden = false;
  at('title').textContent = room;
  document.title = `${room} · Althing`;
  for (const button of at('call').querySelectorAll('[data-toggle]')) button.hidden = !publish;
  if (!publish) devices.stop();
  history.replaceState(null, '', `#room=${encodeURIComponent(room)}`);
  at('title').focus();
}

async function leave() {
  const ending = call?.close();
  call = undefined;
  at('call').hidden = true;
  at('lobby').hidden = false;
  document.title = 'Althing';
  trouble('');
  announce('You have left the room');
  at('enter').focus();
  showDevices();
  startDevices();
  await ending;
}

async function toggle(kind) {
  const problem = await devices.set(kind, !devices.on(kind));
  if (problem) (call ? trouble : (text) => (at('problem').textContent = text))(problem);
}

function showDevices() {
  for (const button of document.querySelectorAll('[data-toggle]')) {
    const kind = button.dataset.toggle;
    const on = devices.on(kind);
    button.setAttribute('aria-pressed', on);
    const icon = kind === 'audio' ? 'mic' : 'camera';
    button.querySelector('use').setAttribute('href', `/icons.svg#${icon}${on ? '' : '-off'}`);
  }
  at('preview').srcObject = devices.stream;
  at('preview').hidden = !devices.on('video');
  at('preview-hint').hidden = devices.on('video');
}

async function startDevices() {
  const problem = await devices.start();
  if (problem && !call) at('problem').textContent = problem;
}

devices.addEventListener('change', ({ detail }) => {
  showDevices();
  call?.deviceChanged(detail);
});
for (const button of document.querySelectorAll('[data-toggle]')) {
  button.addEventListener('click', () => toggle(button.dataset.toggle));
}
addEventListener('keydown', (event) => {
  if (!call || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest('input')) return;
  if (event.key === 'm') toggle('audio');
  if (event.key === 'v') toggle('video');
});
at('join').addEventListener('submit', enter);
at('leave').addEventListener('click', leave);
at('invite').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    announce('The link is copied');
    at('invite').textContent = 'Copied';
    setTimeout(() => (at('invite').textContent = 'Copy link'), 1500);
  } catch {
    trouble(`The link to this room: ${location.href}`);
  }
});
addEventListener('pagehide', () => call?.close());
addEventListener('pageshow', (event) => event.persisted && location.reload()); // kept in memory, but its sessions are closed

const given = new URLSearchParams(location.hash.slice(1));
at('room').value = given.get('room') ?? claims(given.get('token') ?? '')?.video?.room ?? '';
at('name').value = claims(given.get('token') ?? '')?.name ?? localStorage.getItem('name') ?? '';
if (given.get('token')) {
  at('token').value = given.get('token');
  history.replaceState(null, '', location.pathname); // the token is a secret: out of the address bar and the history
}
keepLaidOut(at('tiles'));
showDevices();
startDevices();
