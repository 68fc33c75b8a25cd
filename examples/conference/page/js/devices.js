// Camera and microphone before the call: asking for them, switching them off and on, choosing, listening to the level.

import { deviceProblem } from './wording.js';
import { keep, recall } from './preferences.js';

/** The constraints of each kind, with the device that was chosen last. */
export function constraints(kind) {
  const chosen = recall('devices', {})[kind === 'audio' ? 'audioinput' : 'videoinput'];
  const device = chosen ? { deviceId: { ideal: chosen } } : {};
  return kind === 'audio'
    ? { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...device }
    : { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 }, ...device };
}

/** Remembers a chosen device: `audioinput`, `videoinput` or `audiooutput`. */
export function remember(kind, deviceId) {
  keep('devices', { ...recall('devices', {}), [kind]: deviceId });
}

/** The devices; `change` whenever a track comes or goes. */
export class Devices extends EventTarget {
  stream = new MediaStream();
  /** What the person wants to be on. */
  wanted = { audio: true, video: true };
  #audio;
  #analyser;

  /** Starts what is wanted. Gives a sentence for what did not work, or nothing. */
  async start() {
    if (!navigator.mediaDevices) return 'Camera and microphone need a secure address: https, or localhost.';
    const kinds = ['audio', 'video'].filter((kind) => this.wanted[kind] && !this.track(kind));
    if (kinds.length === 2) {
      // One question to the person instead of two; when one of both is missing, each is tried alone.
      try {
        this.#take(await navigator.mediaDevices.getUserMedia({ audio: constraints('audio'), video: constraints('video') }));
        return undefined;
      } catch {}
    }
    const problems = [];
    for (const kind of kinds) problems.push(await this.#startOne(kind));
    return problems.filter(Boolean).join(' ') || undefined;
  }

  /** Switches one kind on or off. The light of the camera goes out with it; a muted microphone stays open, for speed. */
  async set(kind, on) {
    this.wanted[kind] = on;
    const track = this.track(kind);
    if (kind === 'audio' && track) track.enabled = on;
    else if (!on && track) this.#drop(track);
    else if (on && !track) {
      const problem = await this.#startOne(kind);
      if (problem) return problem;
    }
    this.#changed();
    return undefined;
  }

  /** Uses another device. */
  async choose(deviceKind) {
    const kind = { audioinput: 'audio', videoinput: 'video' }[deviceKind];
    if (!kind || !this.wanted[kind]) return undefined;
    const before = this.track(kind);
    if (before) this.#drop(before);
    return this.#startOne(kind);
  }

  /** The running track of a kind. */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind && track.readyState === 'live');
  }

  /** Whether others could hear (or see) this person. */
  on(kind) {
    return Boolean(this.track(kind)?.enabled);
  }

  /** How loud it is, 0 to 1. */
  level() {
    if (!this.on('audio')) return 0;
    if (this.#analyser?.of !== this.track('audio')) this.#listen(this.track('audio'));
    const samples = new Float32Array(this.#analyser.node.fftSize);
    this.#analyser.node.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60); // 60 dB from end to end
  }

  /** Hands a running track over, and forgets it; the next `start` asks for another. */
  handOver(kind) {
    const track = this.on(kind) ? this.track(kind) : undefined;
    if (track) this.stream.removeTrack(track);
    return track;
  }

  /** Gives the devices back. */
  stop() {
    for (const track of this.stream.getTracks()) this.#drop(track);
    this.#analyser = undefined;
    this.#audio?.close();
    this.#audio = undefined;
    this.#changed();
  }

  async #startOne(kind) {
    try {
      this.#take(await navigator.mediaDevices.getUserMedia({ [kind]: constraints(kind) }));
      return undefined;
    } catch (error) {
      this.wanted[kind] = false;
      this.#changed();
      return deviceProblem(kind, error);
    }
  }

  #take(media) {
    for (const track of media.getTracks()) {
      if (!this.wanted[track.kind] || this.track(track.kind)) {
        track.stop(); // switched off, or started twice, while the browser was still asking
        continue;
      }
      this.stream.addTrack(track);
      // Unplugged, or taken away by the person.
      track.addEventListener('ended', () => this.stream.getTracks().includes(track) && this.set(track.kind, false));
    }
    this.#changed();
  }

  #listen(track) {
    this.#audio ??= new AudioContext();
    this.#audio.resume().catch(() => {}); // it wants a click first: then the bar moves after the first click
    this.#analyser?.source.disconnect();
    const source = this.#audio.createMediaStreamSource(new MediaStream([track]));
    const node = this.#audio.createAnalyser();
    node.fftSize = 1024;
    source.connect(node);
    this.#analyser = { of: track, source, node };
  }

  #drop(track) {
    track.stop();
    this.stream.removeTrack(track);
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
