// Runs inside a browser page: a member of a meeting, by an unmodified client SDK. What it can be asked for by name, with one
// object of arguments, is the same for the members of other kinds: `py/member.py`, `node/member.mjs`.

import { clock } from './clock.js';

/** Joins with the SDK `sdk`; what happens is written down in `events`. */
export class Member {
  constructor(sdk, options = {}) {
    this.sdk = sdk;
    this.events = [];
    this.room = new sdk.Room({ adaptiveStream: false, dynacast: false, disconnectOnPageLeave: false, ...options });
    const { RoomEvent } = sdk;
    const note = (name, fields) => this.room.on(RoomEvent[name], (...args) => this.events.push({ name, at: performance.now(), ...fields(...args) }));
    note('ParticipantConnected', (one) => ({ identity: one.identity }));
    note('ParticipantDisconnected', (one) => ({ identity: one.identity }));
    note('TrackPublished', (publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackUnpublished', (publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackSubscribed', (track, publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackSubscriptionFailed', (_, one) => ({ identity: one.identity }));
    note('TrackUnsubscribed', (track, publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackMuted', (publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackUnmuted', (publication, one) => ({ identity: one.identity, source: publication.source }));
    note('ActiveSpeakersChanged', (speakers) => ({ speakers: speakers.map((one) => one.identity) }));
    note('ParticipantMetadataChanged', (before, one) => ({ identity: one.identity, metadata: one.metadata }));
    note('DataReceived', (payload, one, kind, topic) => ({ identity: one?.identity, text: new TextDecoder().decode(payload), topic, reliable: kind === 0 }));
    note('ConnectionQualityChanged', (quality, one) => ({ identity: one.identity, quality }));
    note('SipDTMFReceived', ({ digit }, one) => ({ name: 'Dialled', identity: one?.identity, digit }));
    this.room.registerTextStreamHandler?.('chat', async (reader, { identity }) => {
      this.events.push({ name: 'Text', identity, text: await reader.readAll() });
    });
    this.room.registerByteStreamHandler?.('files', async (reader, { identity }) => {
      const whole = new Uint8Array(await new Blob(await reader.readAll()).arrayBuffer());
      this.events.push({ name: 'File', identity, length: whole.length, sum: whole.reduce((sum, byte) => sum + byte, 0) });
    });
    this.room.registerRpcMethod?.('add', async ({ payload, callerIdentity }) => `${callerIdentity} ${JSON.parse(payload).reduce((a, b) => a + b)}`);
    note('TrackStreamStateChanged', (publication, state, one) => ({ identity: one.identity, source: publication.source, state }));
    note('Reconnecting', () => ({}));
    note('SignalReconnecting', () => ({}));
    note('Reconnected', () => ({}));
    note('Disconnected', (reason) => ({ reason }));
  }

  /** Options for encryption end to end with a shared key; `scripts` is where the worker lies. */
  static async encryption(sdk, scripts, key) {
    const code = new Blob([`import '${scripts}/livekit-client.e2ee.worker.mjs';`], { type: 'text/javascript' });
    const keyProvider = new sdk.ExternalE2EEKeyProvider();
    await keyProvider.setKey(key);
    return { encryption: { keyProvider, worker: new Worker(URL.createObjectURL(code), { type: 'module' }) } };
  }

  async join(url, token) {
    const start = performance.now();
    await this.room.connect(url, token);
    return performance.now() - start;
  }

  async publish({ simulcast = true, width = 1280, height = 720, tone = false } = {}) {
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width, height, frameRate: 30 } });
    if (tone) media.removeTrack(media.getAudioTracks()[0]), media.addTrack(this.tone());
    const { Track } = this.sdk;
    const local = this.room.localParticipant;
    await local.publishTrack(media.getVideoTracks()[0], { source: Track.Source.Camera, simulcast });
    await local.publishTrack(media.getAudioTracks()[0], { source: Track.Source.Microphone });
  }

  /** A sound that does not stop, as a track. */
  tone(frequency = 440) {
    this.audio ??= new AudioContext();
    const oscillator = new OscillatorNode(this.audio, { frequency });
    const out = this.audio.createMediaStreamDestination();
    oscillator.connect(out);
    oscillator.start();
    return out.stream.getAudioTracks()[0];
  }

  /** Encodings that are being sent: name and frames. */
  async outbound() {
    const track = this.room.localParticipant.getTrackPublication('camera').track;
    const stats = [...(await track.getRTCStatsReport()).values()].filter((one) => one.type === 'outbound-rtp');
    return stats.map((one) => ({ rid: one.rid, active: one.active, frames: one.framesEncoded, width: one.frameWidth }));
  }

  /** What was sent of each track so far. */
  async sent() {
    const each = async ({ source, isMuted, track }) => {
      const streams = [...(await track.getRTCStatsReport()).values()].filter((one) => one.type === 'outbound-rtp');
      return { source, muted: isMuted, packets: streams.reduce((sum, one) => sum + one.packetsSent, 0) };
    };
    return Promise.all([...this.room.localParticipant.trackPublications.values()].map(each));
  }

  /** Shows the track of somebody in an element of its own. */
  show(identity, source = 'camera') {
    const publication = this.room.remoteParticipants.get(identity)?.getTrackPublication(source);
    if (!publication?.track) return false;
    this.shown?.remove();
    this.shown = publication.track.attach();
    Object.assign(this.shown, { muted: true, playsInline: true });
    document.body.append(this.shown);
    this.shown.play().catch(() => {});
    return true;
  }

  /** Plays the sound of somebody: browsers decode only what is played. */
  listen(identity, source = 'microphone') {
    const track = this.room.remoteParticipants.get(identity)?.getTrackPublication(source)?.track;
    if (track && track.attachedElements.length === 0) document.body.append(track.attach());
  }

  async inbound(identity, source = 'camera') {
    const track = this.room.remoteParticipants.get(identity)?.getTrackPublication(source)?.track;
    const stats = [...((await track?.getRTCStatsReport()) ?? new Map()).values()];
    const inbound = stats.find((one) => one.type === 'inbound-rtp');
    return {
      frames: inbound?.framesDecoded ?? 0,
      width: inbound?.frameWidth ?? 0,
      energy: inbound?.totalAudioEnergy ?? 0,
      packets: inbound?.packetsReceived ?? 0,
      codec: stats.find((one) => one.id === inbound?.codecId)?.mimeType,
    };
  }

  roster() {
    return [...this.room.remoteParticipants.values()].map((one) => ({
      identity: one.identity,
      sid: one.sid,
      name: one.name,
      metadata: one.metadata,
      attributes: one.attributes,
      tracks: [...one.trackPublications.values()].map((track) => ({
        sid: track.trackSid,
        source: track.source,
        muted: track.isMuted,
        subscribed: track.isSubscribed,
      })),
    }));
  }

  // What every kind of member can be asked for.

  /** Publishes one colour, with a small square that moves so that no two pictures are the same. */
  async picture({ colour, width = 320, height = 180, fps = 10, source = 'camera', simulcast = false, codec = 'vp8' }) {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    let count = 0;
    const paint = () => {
      context.fillStyle = `rgb(${colour})`;
      context.fillRect(0, 0, width, height);
      context.fillStyle = 'white';
      context.fillRect(8 * (count % (width / 8 - 1)), 0, 8, 8);
      count += 1;
    };
    paint();
    setInterval(paint, 1000 / fps);
    const [track] = canvas.captureStream(fps).getVideoTracks();
    await this.room.localParticipant.publishTrack(track, { source, simulcast, videoCodec: codec });
  }

  /** Publishes a picture that tells when it was painted. */
  async clock(options = {}) {
    await this.room.localParticipant.publishTrack(clock(), { source: 'camera', ...options });
  }

  /** Publishes a tone. Firefox has no AudioContext without a device: its made-up microphone gives 1000 Hz. */
  async sound({ tone, source = 'microphone' }) {
    const silent = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const track = navigator.userAgent.includes('Firefox')
      ? (await navigator.mediaDevices.getUserMedia({ audio: silent })).getAudioTracks()[0]
      : this.tone(tone);
    await this.room.localParticipant.publishTrack(track, { source });
  }

  /** Publishes the screen; Firefox, which has none without a display, the page itself. */
  async share() {
    if (!navigator.userAgent.includes('Firefox')) return void (await this.room.localParticipant.setScreenShareEnabled(true));
    const media = await navigator.mediaDevices.getUserMedia({ video: { mediaSource: 'browser', scrollWithPage: true } });
    await this.room.localParticipant.publishTrack(media.getVideoTracks()[0], { source: 'screen_share' });
  }

  async mute({ source, muted }) {
    const { track } = this.room.localParticipant.getTrackPublication(source);
    await (muted ? track.mute() : track.unmute());
  }

  async unpublish({ source }) {
    await this.room.localParticipant.unpublishTrack(this.room.localParticipant.getTrackPublication(source).track);
  }

  /** What comes from somebody just now: of a video size, colour of the middle; of a sound its tone, where it can be known. */
  async look({ identity, source }) {
    const track = this.room.remoteParticipants.get(identity)?.getTrackPublication(source)?.track;
    if (!track) return { frames: 0 };
    if (track.attachedElements.length === 0) {
      const element = Object.assign(track.attach(), { playsInline: true });
      element.muted = track.kind === 'video';
      document.body.append(element);
      element.play().catch(() => {});
    }
    const { frames, packets, energy, codec } = await this.inbound(identity, source);
    const [element] = track.attachedElements;
    // The track may have gone meanwhile.
    if (!element) return { frames: 0 };
    if (track.kind === 'video') {
      const { videoWidth: width, videoHeight: height } = element;
      const context = new OffscreenCanvas(8, 8).getContext('2d');
      context.drawImage(element, width / 2 - 4, height / 2 - 4, 8, 8, 0, 0, 8, 8);
      const { data } = context.getImageData(0, 0, 8, 8);
      const colour = [0, 1, 2].map((part) => Math.round(data.filter((_, at) => at % 4 === part).reduce((a, b) => a + b) / 64));
      return { frames, width, height, colour, codec };
    }
    if (navigator.userAgent.includes('Firefox')) return { frames: packets, loud: Math.sqrt(energy / 10) };
    this.audio ??= new AudioContext();
    if (track.analyser?.track !== track.mediaStreamTrack) {
      track.analyser = new AnalyserNode(this.audio, { fftSize: 32768, smoothingTimeConstant: 0 });
      track.analyser.track = track.mediaStreamTrack;
      this.audio.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(track.analyser);
    }
    const wave = new Float32Array(32768);
    track.analyser.getFloatTimeDomainData(wave);
    const bins = new Float32Array(track.analyser.frequencyBinCount);
    track.analyser.getFloatFrequencyData(bins);
    const tone = Math.round((bins.indexOf(Math.max(...bins)) * this.audio.sampleRate) / 32768);
    return { frames: packets, loud: Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / 32768), tone };
  }

  async encodings() {
    return this.outbound();
  }

  async subscribe({ identity, source, wanted }) {
    this.room.remoteParticipants.get(identity).getTrackPublication(source).setSubscribed(wanted);
  }

  async quality({ identity, quality }) {
    this.room.remoteParticipants.get(identity).getTrackPublication('camera').setVideoQuality(quality);
  }

  async say({ text, reliable = true, to = [], topic }) {
    await this.room.localParticipant.publishData(new TextEncoder().encode(text), { reliable, destinationIdentities: to, topic });
  }

  async dial({ code, digit }) {
    await this.room.localParticipant.publishDtmf(code, digit);
  }

  async write({ text, to }) {
    await this.room.localParticipant.sendText(text, { topic: 'chat', destinationIdentities: to });
  }

  async file({ length, to }) {
    const writer = await this.room.localParticipant.streamBytes({ topic: 'files', name: 'file', destinationIdentities: to, totalSize: length });
    await writer.write(Uint8Array.from({ length }, (_, index) => index % 251));
    await writer.close();
  }

  async call({ to, payload, method = 'add' }) {
    return this.room.localParticipant.performRpc({ destinationIdentity: to, method, payload });
  }

  /** Publishes a data track and sends a frame of `length` bytes on it every 50 ms. */
  async stream({ name, length = 100 }) {
    const track = await this.room.localParticipant.publishDataTrack({ name });
    const send = () => track.tryPush({ payload: new Uint8Array(length).fill(7) }).catch(() => clearInterval(timer));
    const timer = setInterval(send, 50);
    (this.streams ??= {})[name] = track;
  }

  async stopStream({ name }) {
    await this.streams[name].unpublish();
  }

  /** Writes down the frames of a data track. */
  async follow({ identity, name }) {
    const track = await this.room.remoteParticipants.get(identity).dataTracks.getDeferred(name);
    const reader = track.subscribe().getReader();
    const take = async () => {
      const { done, value } = await reader.read();
      this.events.push(done ? { name: 'FramesEnded', identity } : { name: 'Frame', identity, text: `${name} ${value.payload.length} ${value.payload.at(-1)}` });
      if (!done) take();
    };
    take().catch(() => this.events.push({ name: 'FramesEnded', identity }));
  }

  async describe({ name, metadata, attributes }) {
    const local = this.room.localParticipant;
    if (name !== undefined) await local.setName(name);
    if (metadata !== undefined) await local.setMetadata(metadata);
    if (attributes !== undefined) await local.setAttributes(attributes);
  }

  async simulate({ scenario }) {
    await this.room.simulateScenario(scenario);
  }

  async leave() {
    await this.room.disconnect();
  }
}
