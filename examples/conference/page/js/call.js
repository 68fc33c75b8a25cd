// One visit to a room: joins, publishes, puts the parts of the page together, and takes them apart again.

import { Chat } from './chat.js';
import { isPerson, others } from './company.js';
import { Controls } from './controls.js';
import { constraints } from './devices.js';
import { all, at, icon, say } from './dom.js';
import { Locks, sealed } from './encryption.js';
import { Float } from './float.js';
import { raised, raisedAt } from './hands.js';
import { link } from './invitation.js';
import { startKeys } from './keys.js';
import { Comings, announce, banner, clearBanner, notice } from './news.js';
import { Panels } from './panels.js';
import { People } from './people.js';
import { recall } from './preferences.js';
import { Recording } from './recording.js';
import { startSound } from './sound.js';
import { Stage } from './stage.js';
import { deviceProblem } from './wording.js';

/** How long a lost connection is tried again, in ms, and how long to wait before each try, in ms: the last value is kept. */
const PATIENCE = 5 * 60_000;
const RETRY = [0, 300, 700, 1500, 3000];

export class Call {
  #parts = new AbortController();
  #unread = 0;

  /** `onEnd(reason)`: it is over; `reason` is the room protocol's. */
  constructor(sdk, { room, token, publish, key }, onEnd) {
    Object.assign(this, { sdk, name: room, token, publish, key, onEnd, signal: this.#parts.signal });
  }

  /** Comes in and begins to send what `devices` have running. Throws when it cannot. */
  async join(devices) {
    const encryption = this.key ? await sealed(this.sdk, this.key) : undefined;
    const chosen = recall('devices', {});
    this.room = new this.sdk.Room({
      adaptiveStream: true,
      dynacast: true,
      audioCaptureDefaults: constraints('audio'),
      videoCaptureDefaults: { deviceId: constraints('video').deviceId, resolution: { width: 1280, height: 720, frameRate: 30 } },
      ...(chosen.audiooutput && { audioOutput: { deviceId: chosen.audiooutput } }),
      reconnectPolicy: {
        // Not all at once: a thousand may have lost the same server.
        nextRetryDelayInMs: ({ retryCount, elapsedMs }) =>
          (elapsedMs > PATIENCE ? null : RETRY[Math.min(retryCount, RETRY.length - 1)] * (0.7 + 0.6 * Math.random())),
      },
      ...(encryption && { encryption }),
    });
    this.signal.addEventListener('abort', () => encryption?.worker.terminate());
    try {
      if (encryption) await this.room.setE2EEEnabled(true);
      this.#assemble();
      await this.room.connect(location.origin.replace(/^http/, 'ws'), this.token, { autoSubscribe: false });
    } catch (error) {
      this.#parts.abort();
      throw error;
    }
    const { RoomEvent } = this.sdk;
    this.room.on(RoomEvent.Disconnected, (reason) => this.#end(reason));
    if (this.publish) this.#publish(devices);
    else devices.stop();
    this.#keepAwake();
  }

  leave() {
    return this.room.disconnect();
  }

  /** Uses another device from now on. Gives a sentence for what did not work. */
  async choose(kind, deviceId) {
    try {
      await this.room.switchActiveDevice(kind, deviceId);
      return undefined;
    } catch (error) {
      return deviceProblem(kind === 'videoinput' ? 'video' : 'audio', error);
    }
  }

  #assemble() {
    const { room, sdk, signal } = this;
    const { RoomEvent } = sdk;
    at('title').textContent = this.name;
    at('sealed').hidden = !this.key;
    clearBanner();
    history.replaceState(null, '', link(this.name, this.key));
    if (this.key) this.locks = new Locks(room, sdk, (identity) => this.#wrongKey(identity));
    startSound(this);
    this.stage = new Stage(this, () => this.#drawn());
    this.people = new People(this);
    this.controls = new Controls(this);
    this.recording = new Recording(this);
    this.panels = new Panels(this, (name) => (name === 'chat' ? this.chat.read() : this.people.draw()));
    this.chat = new Chat(this, { isOpen: () => this.panels.open === 'chat', onUnread: (count) => this.#showUnread(count) });
    this.float = new Float(this, () => this.stage.leading);
    startKeys(this, {
      m: () => this.controls.toggle('audio'),
      v: () => this.controls.toggle('video'),
      s: () => this.controls.toggle('screen'),
      h: () => this.controls.raise(),
      c: () => this.panels.toggle('chat'),
      p: () => this.panels.toggle('people'),
      l: () => this.stage.toggle(),
      escape: () => this.panels.close(),
    }, (on) => this.controls.set('audio', on));
    at('layout').addEventListener('click', () => this.stage.toggle(), { signal });
    at('leave').addEventListener('click', () => this.leave(), { signal });
    at('invite').addEventListener('click', () => this.#copyLink(), { signal });

    const comings = new Comings();
    const name = (participant) => participant.name || participant.identity;
    room.on(RoomEvent.Connected, () => this.chat.showRights());
    room.on(RoomEvent.ParticipantConnected, (one) => isPerson(one) && comings.come(name(one)));
    room.on(RoomEvent.ParticipantDisconnected, (one) => isPerson(one) && comings.gone(name(one)));
    room.on(RoomEvent.ParticipantAttributesChanged, (changed, one) => {
      if (!one.isLocal && 'hand' in changed) announce(`${name(one)} ${raisedAt(one) ? 'raised a hand' : 'lowered the hand'}`);
    });
    room.on(RoomEvent.TrackPublished, ({ source }, one) => source === 'screen_share' && announce(`${name(one)} shares a screen`));
    for (const event of [RoomEvent.SignalReconnecting, RoomEvent.Reconnecting]) {
      room.on(event, () => banner('connection', 'The connection is lost. Trying to come back…'));
    }
    room.on(RoomEvent.Reconnected, () => {
      banner('connection');
      announce('Connected again');
    });
    room.on(RoomEvent.MediaDevicesError, (error) => notice(error.message));
  }

  async #publish(devices) {
    const { LocalAudioTrack, LocalVideoTrack } = this.sdk;
    const send = async (kind, Kind, source) => {
      const track = devices.handOver(kind);
      if (!track) return;
      await this.controls.during(kind, true, async () => {
        try {
          await this.room.localParticipant.publishTrack(new Kind(track, constraints(kind), false), { source });
        } catch (error) {
          track.stop();
          throw error;
        }
      });
    };
    const sent = [send('audio', LocalAudioTrack, 'microphone'), send('video', LocalVideoTrack, 'camera')];
    devices.stop(); // what was not handed over
    await Promise.all(sent);
  }

  /** The parts of the page outside the stage that show what it shows. */
  #drawn() {
    const { room } = this;
    const count = others(room).length + 1;
    say(at('count'), count === 1 ? 'only you' : `${count} people`);
    const { focused } = this.stage;
    at('layout').setAttribute('aria-pressed', focused);
    icon(at('layout'), focused ? 'grid' : 'speaker');
    say(at('layout').querySelector('span'), focused ? 'Grid' : 'Speaker');
    at('layout').setAttribute('aria-label', focused ? 'Grid' : 'Speaker view');
    const hands = raised(room).length;
    at('hands').hidden = hands === 0;
    say(at('hands').querySelector('span'), String(hands));
    this.float.follow();
  }

  #showUnread(count) {
    this.#unread = count;
    const badge = at('unread');
    badge.hidden = count === 0;
    say(badge.querySelector('span'), count > 99 ? '99+' : String(count));
    if (!at('call').hidden) document.title = `${count > 0 ? `(${count}) ` : ''}${this.name} · Althing`;
  }

  #wrongKey(identity) {
    const participant = this.room.getParticipantByIdentity(identity);
    if (!participant?.isLocal) notice(`${participant?.name || identity} has another key: you cannot see or hear each other.`, 12);
    this.stage.draw();
  }

  async #copyLink() {
    const address = link(this.name, this.key);
    try {
      await navigator.clipboard.writeText(address);
      announce('The link is copied');
      const words = at('invite').querySelector('span');
      words.textContent = 'Copied';
      setTimeout(() => (words.textContent = 'Copy link'), 1500);
    } catch {
      notice(`The link to this room: ${address}`, 30);
    }
  }

  /** The screen does not go dark while one only looks. */
  #keepAwake() {
    const ask = () => document.visibilityState === 'visible' && navigator.wakeLock?.request('screen').then((lock) => {
      if (this.signal.aborted) lock.release();
      else this.signal.addEventListener('abort', () => lock.release());
    }, () => {}); // the battery is low: then it goes dark
    ask();
    document.addEventListener('visibilitychange', ask, { signal: this.signal });
  }

  #end(reason) {
    this.#parts.abort();
    clearBanner();
    for (const button of all('#controls [aria-pressed]')) button.setAttribute('aria-pressed', false);
    this.onEnd(reason);
  }
}
