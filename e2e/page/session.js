// One connection to the server: WHIP (RFC 9725) to publish, WHEP to watch. No page, no room: only a peer connection.
//
// `new Publisher(url, token)` and `new Watcher(url, token)`; `start()` connects, `close()` ends the session on the server too.
// Both tell what happens by events: `state` (detail: connecting, connected, restarting, failed, gone) and, the watcher, `tracks`.

/** How long a connection may be interrupted before ICE is restarted, in ms. */
const PATIENCE = 2500;
/** How long an ICE restart may take before the session counts as lost, in ms. */
const RESTART_LIMIT = 6000;
/** How long the first connection may take, in ms. */
const CONNECT_LIMIT = 12_000;

/** A refusal of the server: its status and its one sentence. */
export class Refused extends Error {
  constructor(status, text) {
    super(text || `the server answered ${status}`);
    this.status = status;
  }
}

class Session extends EventTarget {
  #url;
  #token;
  #resource;
  #timer;
  #state;

  constructor(url, token) {
    super();
    this.#url = url;
    this.#token = token;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.addEventListener('connectionstatechange', () => this.#onConnection());
  }

  /** The state that was told last. */
  get state() {
    return this.#state;
  }

  /** The session's own address on the server, once it has one. */
  get resource() {
    return this.#resource;
  }

  /** Offers, and takes the answer. The media connects afterwards; `state` tells. */
  async connect() {
    this.#tell('connecting');
    await this.pc.setLocalDescription();
    const response = await this.request(this.#url, 'POST', 'application/sdp', this.pc.localDescription.sdp);
    const location = response.headers.get('location');
    if (location) this.#resource = new URL(location, response.url || this.#url).href;
    const sdp = await response.text();
    if (this.pc.signalingState === 'closed') return this.close(); // left meanwhile: the server need not wait for us
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    this.#wait(CONNECT_LIMIT, () => this.#tell('failed'));
  }

  /** One request with our token; throws `Refused` unless it went well. */
  async request(url, method, type, body, headers = {}) {
    const response = await fetch(url, {
      method,
      headers: { ...(this.#token && { authorization: `Bearer ${this.#token}` }), ...(type && { 'content-type': type }), ...headers },
      body,
      keepalive: method === 'DELETE',
    });
    if (!response.ok) throw new Refused(response.status, (await response.text()).trim());
    return response;
  }

  /** New ICE credentials on the same session (RFC 9725 §4.3.3): another network, a lost path. */
  async restart() {
    this.#tell('restarting');
    this.#wait(RESTART_LIMIT, () => this.#tell('failed'));
    const before = this.pc.remoteDescription.sdp;
    this.pc.restartIce();
    await this.pc.setLocalDescription();
    const fragment = restartFragment(this.pc.localDescription.sdp);
    const headers = { 'if-match': '*' };
    const response = await this.request(this.#resource, 'PATCH', 'application/trickle-ice-sdpfrag', fragment, headers);
    await this.pc.setRemoteDescription({ type: 'answer', sdp: withCredentials(before, await response.text()) });
  }

  /** Ends it here and on the server. May be called at any time, and twice. */
  async close() {
    clearTimeout(this.#timer);
    this.pc.close();
    const resource = this.#resource;
    this.#resource = undefined;
    if (resource) await this.request(resource, 'DELETE').catch(() => {}); // it may have ended there already
  }

  #onConnection() {
    switch (this.pc.connectionState) {
      case 'connected':
        clearTimeout(this.#timer);
        this.#tell('connected');
        break;
      case 'disconnected':
        this.#wait(PATIENCE, () => this.#tryRestart());
        break;
      case 'failed':
        this.#tryRestart();
        break;
    }
  }

  async #tryRestart() {
    if (this.#state === 'restarting' || this.#state === 'failed' || this.pc.signalingState === 'closed') return;
    if (this.#state === 'connecting' || !this.#resource) return this.#tell('failed');
    try {
      await this.restart();
    } catch {
      this.#tell('failed');
    }
  }

  #wait(ms, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #tell(state) {
    if (this.#state === state) return;
    this.#state = state;
    if (state === 'failed') clearTimeout(this.#timer);
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }
}

/** Sends one stream. */
export class Publisher extends Session {
  /**
   * The encodings of a picture, lowest first: a watcher on a phone gets a small one. As many as browsers really send at
   * its size: they leave out the last ones of a small picture, which would be the good ones.
   */
  static encodings({ width = 1280, height = 720 }) {
    const quarter = { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 };
    const half = { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 };
    const full = { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 };
    if (width * height >= 960 * 540) return [quarter, half, full];
    return width * height >= 480 * 270 ? [half, full] : [full];
  }

  /** `media`: the tracks to send. `codec`, for tests: the only video codec to offer, such as `video/VP9`. */
  async start(media, { codec, simulcast = true } = {}) {
    for (const track of media.getAudioTracks()) {
      this.audio = this.pc.addTransceiver(track, { direction: 'sendonly', streams: [media] });
    }
    for (const track of media.getVideoTracks()) {
      const sendEncodings = simulcast ? Publisher.encodings(track.getSettings()) : undefined;
      this.video = this.pc.addTransceiver(track, { direction: 'sendonly', streams: [media], ...(sendEncodings && { sendEncodings }) });
      if (codec) preferCodec(this.video, RTCRtpSender, codec);
    }
    await this.connect();
  }

  /** Sends another track of this kind from now on, or nothing. */
  async replace(kind, track) {
    await this[kind]?.sender.replaceTrack(track);
  }

  /** Tells the others that nothing of this kind comes for a while; the server stops forwarding it. */
  async mute(kind, muted) {
    if (!this[kind] || !this.resource) return;
    await this.request(`${this.resource}/mute`, 'POST', 'application/json', JSON.stringify({ kind, muted }));
  }
}

/** Receives one participant. */
export class Watcher extends Session {
  constructor(url, token) {
    super(url, token);
    this.stream = new MediaStream();
  }

  /** `codec`, for tests: the only video codec to offer. */
  async start({ codec } = {}) {
    this.pc.addEventListener('track', ({ track }) => {
      this.stream.addTrack(track);
      this.dispatchEvent(new CustomEvent('tracks', { detail: this.stream }));
    });
    this.pc.addTransceiver('audio', { direction: 'recvonly' });
    const video = this.pc.addTransceiver('video', { direction: 'recvonly' });
    if (codec) preferCodec(video, RTCRtpReceiver, codec);
    await this.connect();
  }

  /** Asks for at most this encoding of the picture, 0 the smallest; without a number for the best. */
  async limit(maxSpatialLayerId) {
    if (!this.resource) return;
    await this.request(`${this.resource}/layer`, 'POST', 'application/json', JSON.stringify({ maxSpatialLayerId }));
  }
}

function preferCodec(transceiver, side, codec) {
  const wanted = (c) => [codec.toLowerCase(), 'video/rtx'].includes(c.mimeType.toLowerCase());
  transceiver.setCodecPreferences(side.getCapabilities('video').codecs.filter(wanted));
}

/** What a PATCH for an ICE restart says: new credentials under the first media section (RFC 8840 §9). */
function restartFragment(sdp) {
  const lines = sdp.split(/\r?\n/);
  const first = (start) => lines.find((line) => line.startsWith(start));
  const wanted = ['a=ice-options:', 'a=group:BUNDLE', 'm=', 'a=mid:', 'a=ice-ufrag:', 'a=ice-pwd:'];
  return wanted.map(first).filter(Boolean).join('\r\n') + '\r\n';
}

/** An answer with the credentials, and the candidates if there are any, of the server's fragment. */
function withCredentials(answer, fragment) {
  const value = (name) => fragment.match(new RegExp(`^a=${name}:(.*?)\r?$`, 'm'))?.[1];
  const [ufrag, pwd] = [value('ice-ufrag'), value('ice-pwd')];
  if (!ufrag || !pwd) throw new Error('the server gave no new ICE credentials');
  return answer
    .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${ufrag}\r`)
    .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${pwd}\r`)
    .replace(/\r\r/g, '\r');
}
