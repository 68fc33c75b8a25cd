// A member of a meeting by the SDK for Node: takes commands as lines of JSON, answers each, and notes what happens. The
// commands are those of `page/member.js` and `py/member.py`. This SDK cannot mute its own tracks.

import { createInterface } from 'node:readline';
import * as rtc from '@livekit/rtc-node';

const RATE = 48_000;
const SOURCES = { camera: rtc.TrackSource.SOURCE_CAMERA, microphone: rtc.TrackSource.SOURCE_MICROPHONE, screen_share: rtc.TrackSource.SOURCE_SCREENSHARE };
const nameOf = (source) => Object.keys(SOURCES).find((name) => SOURCES[name] === source);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** One colour, with a small square that moves so that no two pictures are the same. */
function painted(colour, width, height, count) {
  const pixels = new Uint8Array(width * height * 4);
  new Uint32Array(pixels.buffer).fill((colour[0] | (colour[1] << 8) | (colour[2] << 16) | (255 << 24)) >>> 0);
  const left = 8 * (count % (width / 8 - 1));
  for (let y = 0; y < 8; y += 1) pixels.fill(255, (y * width + left) * 4, (y * width + left + 8) * 4);
  return new rtc.VideoFrame(pixels, width, height, rtc.VideoBufferType.RGBA);
}

/** The last second of a sound. */
class Heard {
  frames = 0;
  samples = new Int16Array(RATE);
  at = 0;

  take({ data }) {
    this.frames += 1;
    for (const sample of data) this.samples[this.at++ % RATE] = sample;
  }

  /** The tone is the strongest of the frequencies that are tried. */
  read() {
    if (this.at < RATE) return { frames: this.frames, loud: 0, tone: 0 };
    const wave = Float64Array.from(this.samples, (_, index) => this.samples[(this.at + index) % RATE] / 32768);
    const loud = Math.sqrt(wave.reduce((sum, sample) => sum + sample ** 2, 0) / RATE);
    const strength = (tone) => {
      const [step, sum] = [(2 * Math.PI * tone) / RATE, [0, 0]];
      for (let index = 0; index < RATE; index += 4) {
        sum[0] += wave[index] * Math.cos(step * index);
        sum[1] += wave[index] * Math.sin(step * index);
      }
      return Math.hypot(...sum);
    };
    const tones = Array.from({ length: 32 }, (_, index) => 450 + 25 * index);
    return { frames: this.frames, loud, tone: tones.reduce((best, tone) => (strength(tone) > strength(best) ? tone : best)) };
  }
}

/** The last picture of a video: its size, and the colour of its middle. */
class Seen {
  frames = 0;

  take(frame) {
    this.frames += 1;
    this.last = frame;
  }

  read() {
    if (!this.last) return { frames: 0 };
    const { width, height, data } = this.last.convert(rtc.VideoBufferType.RGBA);
    const sum = [0, 0, 0];
    for (let y = -4; y < 4; y += 1) for (let x = -4; x < 4; x += 1) {
      const at = ((Math.floor(height / 2) + y) * width + Math.floor(width / 2) + x) * 4;
      for (let part = 0; part < 3; part += 1) sum[part] += data[at + part] / 64;
    }
    return { frames: this.frames, width, height, colour: sum.map(Math.round) };
  }
}

class Member {
  noted = [];
  received = new Map();
  published = {};

  constructor() {
    this.room = new rtc.Room();
    const on = (event, note) => this.room.on(rtc.RoomEvent[event], (...args) => this.noted.push({ name: event, ...note(...args) }));
    const track = (publication, one) => ({ identity: one.identity, source: nameOf(publication.source) });
    on('ParticipantConnected', ({ identity }) => ({ identity }));
    on('ParticipantDisconnected', ({ identity }) => ({ identity }));
    for (const event of ['TrackPublished', 'TrackUnpublished', 'TrackMuted', 'TrackUnmuted']) on(event, track);
    on('TrackSubscribed', (_, publication, one) => track(publication, one));
    on('TrackUnsubscribed', (_, publication, one) => track(publication, one));
    on('ActiveSpeakersChanged', (speakers) => ({ speakers: speakers.map((one) => one.identity) }));
    on('DataReceived', (data, one, kind, topic) => ({ identity: one?.identity, text: new TextDecoder().decode(data), topic, reliable: kind === rtc.DataPacketKind.KIND_RELIABLE }));
    on('DtmfReceived', (code, digit, { identity }) => ({ name: 'Dialled', identity, digit }));
    on('Reconnecting', () => ({}));
    on('Reconnected', () => ({}));
    on('Disconnected', (reason) => ({ reason }));
    this.room.on(rtc.RoomEvent.TrackSubscribed, (track, publication, one) => this.subscribed(track, publication, one));
    this.room.registerTextStreamHandler('chat', async (reader, { identity }) => {
      this.noted.push({ name: 'Text', identity, text: await reader.readAll() });
    });
    this.room.registerByteStreamHandler('files', async (reader, { identity }) => {
      const whole = Buffer.concat(await reader.readAll());
      this.noted.push({ name: 'File', identity, length: whole.length, sum: whole.reduce((sum, byte) => sum + byte, 0) });
    });
  }

  async subscribed(track, publication, one) {
    const video = track instanceof rtc.RemoteVideoTrack;
    // A track that is there again after a reconnect begins to count anew.
    const seen = video ? new Seen() : new Heard();
    this.received.set(`${one.identity} ${nameOf(publication.source)}`, seen);
    const stream = video ? new rtc.VideoStream(track) : new rtc.AudioStream(track, RATE, 1);
    for await (const event of stream) seen.take(event.frame ?? event);
  }

  publication(identity, source) {
    const tracks = this.room.remoteParticipants.get(identity).trackPublications.values();
    return [...tracks].find((track) => nameOf(track.source) === source);
  }

  // The commands.

  async join({ url, token, key, dynacast = false, single = true }) {
    const encryption = key && { keyProviderOptions: { sharedKey: new TextEncoder().encode(key) } };
    const start = performance.now();
    await this.room.connect(url, token, { autoSubscribe: true, dynacast, singlePeerConnection: single, ...(encryption && { encryption }) });
    this.room.localParticipant.registerRpcMethod('add', async ({ payload, callerIdentity }) => `${callerIdentity} ${JSON.parse(payload).reduce((a, b) => a + b)}`);
    return performance.now() - start;
  }

  async picture({ colour, width = 320, height = 180, fps = 10, source = 'camera', simulcast = false, codec = 'vp8' }) {
    const video = new rtc.VideoSource(width, height);
    let count = 0;
    const timer = setInterval(() => video.captureFrame(painted(colour, width, height, count++)), 1000 / fps);
    const track = rtc.LocalVideoTrack.createVideoTrack(source, video);
    const videoCodec = { vp8: rtc.VideoCodec.VP8, h264: rtc.VideoCodec.H264 }[codec];
    const publication = await this.room.localParticipant.publishTrack(track, new rtc.TrackPublishOptions({ source: SOURCES[source], simulcast, videoCodec }));
    this.published[source] = { publication, stop: () => clearInterval(timer) };
  }

  async sound({ tone }) {
    // So much ahead that a busy machine does not tear it.
    const audio = new rtc.AudioSource(RATE, 1, 1000);
    let going = true;
    const play = async () => {
      const size = RATE / 10;
      for (let at = 0; going; at = (at + size) % RATE) {
        const wave = Int16Array.from({ length: size }, (_, index) => 8000 * Math.sin((2 * Math.PI * tone * (at + index)) / RATE));
        await audio.captureFrame(new rtc.AudioFrame(wave, RATE, 1, size));
      }
    };
    play();
    const track = rtc.LocalAudioTrack.createAudioTrack('sound', audio);
    const publication = await this.room.localParticipant.publishTrack(track, new rtc.TrackPublishOptions({ source: SOURCES.microphone }));
    this.published.microphone = { publication, stop: () => (going = false) };
  }

  async unpublish({ source }) {
    const { publication, stop } = this.published[source];
    await this.room.localParticipant.unpublishTrack(publication.sid);
    stop();
  }

  async look({ identity, source }) {
    return this.received.get(`${identity} ${source}`)?.read() ?? { frames: 0 };
  }

  async encodings() {
    const { publisherStats } = await this.room.getRtcStats();
    const sent = publisherStats.map(({ stats }) => stats).filter((one) => one.case === 'outboundRtp').map((one) => one.value);
    return sent.filter(({ stream }) => stream.kind === 'video').map(({ outbound }) => (
      { rid: outbound.rid, active: outbound.active, frames: outbound.framesEncoded, width: outbound.frameWidth }));
  }

  async subscribe({ identity, source, wanted }) {
    this.publication(identity, source).setSubscribed(wanted);
  }

  async say({ text, reliable = true, to = [], topic = '' }) {
    await this.room.localParticipant.publishData(new TextEncoder().encode(text), { reliable, destination_identities: to, topic });
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

  async describe({ name, metadata, attributes }) {
    const local = this.room.localParticipant;
    if (name !== undefined) await local.updateName(name);
    if (metadata !== undefined) await local.updateMetadata(metadata);
    if (attributes !== undefined) await local.setAttributes(attributes);
  }

  async roster() {
    const tracks = (one) => [...one.trackPublications.values()].map((track) => ({ sid: track.sid, source: nameOf(track.source), muted: track.muted, subscribed: track.subscribed }));
    return [...this.room.remoteParticipants.values()].map((one) => ({ identity: one.identity, name: one.name, metadata: one.metadata, attributes: one.attributes, tracks: tracks(one) }));
  }

  async events({ name }) {
    return this.noted.filter((one) => !name || one.name === name);
  }

  async simulate({ scenario }) {
    await this.room.simulateScenario(rtc.SimulateScenarioKind[`SIMULATE_${scenario.replaceAll('-', '_').toUpperCase()}`]);
  }

  async leave() {
    await this.room.disconnect();
  }
}

const member = new Member();
for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...rest } = JSON.parse(line);
  const tell = (told) => process.stdout.write(`${JSON.stringify({ id, ...told })}\n`);
  Promise.resolve().then(() => member[op](rest)).then((value) => tell({ value }), (error) => tell({ error: `${error.name}: ${error.message}` }));
}
if (member.room.isConnected) await Promise.race([member.leave(), sleep(1000)]);
process.exit(0);
