// Runs inside a browser page: a member of a meeting, by an unmodified client SDK.

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
    note('TrackUnsubscribed', (track, publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackMuted', (publication, one) => ({ identity: one.identity, source: publication.source }));
    note('TrackUnmuted', (publication, one) => ({ identity: one.identity, source: publication.source }));
    note('ActiveSpeakersChanged', (speakers) => ({ speakers: speakers.map((one) => one.identity) }));
    note('ParticipantMetadataChanged', (before, one) => ({ identity: one.identity, metadata: one.metadata }));
    note('DataReceived', (payload, one, kind, topic) => ({ identity: one?.identity, text: new TextDecoder().decode(payload), topic }));
    note('ConnectionQualityChanged', (quality, one) => ({ identity: one.identity, quality }));
    this.room.registerTextStreamHandler?.('chat', async (reader, { identity }) => {
      this.events.push({ name: 'Text', identity, text: await reader.readAll() });
    });
    this.room.registerRpcMethod?.('add', async ({ payload, callerIdentity }) => `${callerIdentity} ${JSON.parse(payload).reduce((a, b) => a + b)}`);
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
  tone() {
    this.audio = new AudioContext();
    const oscillator = this.audio.createOscillator();
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
    };
  }

  roster() {
    return [...this.room.remoteParticipants.values()].map((one) => ({
      identity: one.identity,
      sid: one.sid,
      name: one.name,
      metadata: one.metadata,
      tracks: [...one.trackPublications.values()].map((track) => ({
        sid: track.trackSid,
        source: track.source,
        muted: track.isMuted,
        subscribed: track.isSubscribed,
      })),
    }));
  }
}
