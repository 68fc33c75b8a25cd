// Camera and microphone of this person: asking for them, switching them off and on.

const WANTED = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
};

const REASONS = {
  NotAllowedError: 'The browser may not use it. Allow it in the address bar, then switch it on again.',
  NotFoundError: 'None was found.',
  NotReadableError: 'Another program is using it.',
  OverconstrainedError: 'It cannot do what is asked of it.',
};

/** The devices; `change` whenever a track comes or goes. */
export class Devices extends EventTarget {
  /** The stream that is sent: its tracks change, it stays. */
  stream = new MediaStream();
  /** What the person wants to be on. */
  wanted = { audio: true, video: true };

  /** Starts what is wanted. Gives a sentence for what did not work, or nothing. */
  async start() {
    if (!navigator.mediaDevices) return 'Camera and microphone need a secure address: https, or localhost.';
    const kinds = ['audio', 'video'].filter((kind) => this.wanted[kind] && !this.track(kind));
    if (kinds.length === 2) {
      // One question to the person instead of two; when one of both is missing, each is tried alone.
      try {
        this.#take(await navigator.mediaDevices.getUserMedia(WANTED));
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
    this.dispatchEvent(new CustomEvent('change', { detail: kind }));
    return undefined;
  }

  /** The running track of a kind. */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind && track.readyState === 'live');
  }

  /** Whether others can hear (or see) this person. */
  on(kind) {
    return Boolean(this.track(kind)?.enabled);
  }

  /** Gives the devices back. */
  stop() {
    for (const track of this.stream.getTracks()) this.#drop(track);
  }

  async #startOne(kind) {
    try {
      this.#take(await navigator.mediaDevices.getUserMedia({ [kind]: WANTED[kind] }));
      return undefined;
    } catch (error) {
      this.wanted[kind] = false;
      this.dispatchEvent(new CustomEvent('change', { detail: kind }));
      const device = kind === 'audio' ? 'Microphone' : 'Camera';
      return `${device}: ${REASONS[error.name] ?? error.message}`;
    }
  }

  #take(media) {
    for (const track of media.getTracks()) {
      if (!this.wanted[track.kind]) {
        track.stop(); // switched off while the browser was still asking
        continue;
      }
      this.stream.addTrack(track);
      track.addEventListener('ended', () => this.set(track.kind, false)); // unplugged, or taken away by the person
      this.dispatchEvent(new CustomEvent('change', { detail: track.kind }));
    }
  }

  #drop(track) {
    track.stop();
    this.stream.removeTrack(track);
  }
}
