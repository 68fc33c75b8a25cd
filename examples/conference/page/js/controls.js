// The controls of the call: microphone, camera, screen, hand.

import { all, at, icon } from './dom.js';
import { mayRaise, raisedAt, setRaised } from './hands.js';
import { announce, notice } from './news.js';
import { keep, recall } from './preferences.js';
import { deviceProblem } from './wording.js';

/** The source of a kind of device, as the permissions name it. */
const SOURCES = { video: 1, audio: 2, screen: 3 };

export class Controls {
  /** What is being switched now, by its kind: whether it will be on, and when. */
  #pending = new Map();

  constructor({ room, sdk, signal }) {
    this.room = room;
    this.own = room.localParticipant;
    for (const button of all('#controls [data-device]')) {
      button.addEventListener('click', () => this.toggle(button.dataset.device), { signal });
    }
    at('share').addEventListener('click', () => this.toggle('screen'), { signal });
    at('hand').addEventListener('click', () => this.raise(), { signal });
    const { RoomEvent } = sdk;
    for (const event of [
      'Connected', 'LocalTrackPublished', 'LocalTrackUnpublished', 'TrackMuted', 'TrackUnmuted', 'ParticipantAttributesChanged',
      'ParticipantPermissionsChanged',
    ]) room.on(RoomEvent[event], () => this.show());
    room.on(RoomEvent.TrackMuted, ({ kind }, participant) => {
      if (participant.isLocal && !this.#pending.has(kind)) notice(`Your ${kind === 'audio' ? 'microphone' : 'camera'} was switched off from outside.`);
    });
  }

  /** Whether it is on, or will be in a moment. */
  on(kind) {
    return this.#pending.get(kind)?.on ?? { audio: this.own.isMicrophoneEnabled, video: this.own.isCameraEnabled, screen: this.own.isScreenShareEnabled }[kind];
  }

  /** Whether this person may send it. */
  may(kind) {
    const { canPublish = false, canPublishSources = [] } = this.own.permissions ?? {};
    return canPublish && (canPublishSources.length === 0 || canPublishSources.includes(SOURCES[kind]));
  }

  async toggle(kind) {
    await this.set(kind, !this.on(kind));
    announce(`${{ audio: 'Microphone', video: 'Camera', screen: 'Screen sharing' }[kind]} ${this.on(kind) ? 'on' : 'off'}`);
  }

  /** Switches it on or off. */
  async set(kind, on) {
    if (!this.may(kind) || on === this.on(kind)) return;
    await this.during(kind, on, async () => {
      if (kind === 'audio') await this.own.setMicrophoneEnabled(on);
      else if (kind === 'video') await this.own.setCameraEnabled(on);
      else await this.own.setScreenShareEnabled(on, { audio: true, systemAudio: 'include', surfaceSwitching: 'include' });
      if (kind !== 'screen') keep('wanted', { ...recall('wanted', { audio: true, video: true }), [kind]: on });
    });
  }

  /** Does what switches something on or off, after what is being done to it already; the button shows at once what will be. */
  async during(kind, on, work) {
    const before = this.#pending.get(kind)?.done;
    const done = (async () => {
      await before;
      await work().catch((error) => notice(deviceProblem(kind, error)));
    })();
    const mine = { on, done };
    this.#pending.set(kind, mine);
    this.show();
    await done;
    if (this.#pending.get(kind) === mine) this.#pending.delete(kind);
    this.show();
  }

  /** Raises a hand or lowers it. */
  async raise() {
    if (!mayRaise(this.room)) return;
    const up = !raisedAt(this.own);
    try {
      await setRaised(this.room, up);
      announce(up ? 'Your hand is raised' : 'Your hand is down');
    } catch {
      notice('The server did not take note of your hand.');
    }
    this.show();
  }

  /** Brings the buttons up to date. */
  show() {
    for (const button of all('#controls [data-device]')) {
      const kind = button.dataset.device;
      button.hidden = !this.may(kind);
      button.setAttribute('aria-pressed', this.on(kind));
      icon(button, `${kind === 'audio' ? 'mic' : 'camera'}${this.on(kind) ? '' : '-off'}`);
    }
    at('share').hidden = !this.may('screen') || !navigator.mediaDevices?.getDisplayMedia;
    at('share').setAttribute('aria-pressed', this.on('screen'));
    at('hand').hidden = !mayRaise(this.room);
    at('hand').setAttribute('aria-pressed', Boolean(raisedAt(this.own)));
  }
}
