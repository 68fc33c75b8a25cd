// People in a browser page: somebody who publishes, somebody who watches, by the protocols WHIP and WHEP.

import { serveFiles } from './files.mjs';
import { token } from './server.mjs';

/** Opens a bare page of the server's origin, with our measuring scripts at hand as `window.measure`. */
export async function barePage(t, browser, server, { rewrite, without } = {}) {
  t.scripts ??= await serveFiles(t);
  const page = await browser.page(`${server.base}/healthz`);
  await page.run(async (scripts) => {
    window.measure = await import(`${scripts}/measure.js`);
    window.session = await import(`${scripts}/session.js`);
  }, t.scripts);
  if (without) {
    // As a browser that does not know these formats: nothing of them stands in its offers.
    await page.run((names) => {
      const original = RTCPeerConnection.prototype.addTransceiver;
      RTCPeerConnection.prototype.addTransceiver = function (...all) {
        const transceiver = original.apply(this, all);
        const { codecs } = RTCRtpReceiver.getCapabilities(transceiver.receiver.track.kind);
        transceiver.setCodecPreferences(codecs.filter((codec) => !names.includes(codec.mimeType.split('/')[1].toLowerCase())));
        return transceiver;
      };
    }, without);
  }
  if (rewrite) {
    // Between the server's answer and the browser: as if the network in between were another.
    await page.run((text) => {
      const change = new Function('sdp', `return (${text})(sdp)`);
      const original = RTCPeerConnection.prototype.setRemoteDescription;
      RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
        return original.call(this, { type, sdp: change(sdp) });
      };
    }, rewrite);
  }
  return page;
}

/** Publishes made-up camera and microphone; resolves when connected. */
export async function publish(t, browser, server, room, options = {}) {
  const page = await barePage(t, browser, server, options);
  const identity = options.identity ?? 'publisher';
  await page.run(async ({ url, token, options }) => {
    const size = { width: options.width ?? 960, height: options.height ?? 540, frameRate: 30 };
    window.media = await navigator.mediaDevices.getUserMedia({ audio: true, video: size });
    window.me = new session.Publisher(url, token);
    await window.me.start(window.media, options);
    await measure.state(window.me, 'connected');
  }, { url: `/whip/${room}`, token: token({ room, identity, ...server.key }), options });
  page.sending = () => page.run(() => measure.sending(window.me.pc));
  return page;
}

/** Watches the room (or one of its people); resolves when the first picture is shown, or at once where only sound is wanted. */
export async function watch(t, browser, server, room, options = {}) {
  const page = await barePage(t, browser, server, options);
  const identity = options.identity ?? `watcher-${Math.random().toString(36).slice(2, 8)}`;
  const url = `/whep/${room}${options.participant ? `/${options.participant}` : ''}`;
  page.firstPicture = await page.run(async ({ url, token, options }) => {
    // Firefox uses its loopback address only in pages that may use the camera, as ours does.
    if (navigator.userAgent.includes('Firefox')) await navigator.mediaDevices.getUserMedia({ audio: true });
    window.token = token;
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, playsInline: true });
    document.body.append(video);
    window.me = new session.Watcher(url, token);
    video.srcObject = window.me.stream;
    window.clock = new measure.FrameClock(video);
    const start = performance.now();
    await window.me.start(options);
    video.play().catch(() => {});
    await measure.state(window.me, 'connected');
    const connected = performance.now() - start;
    if (options.soundOnly) return { connected };
    await measure.until(() => window.clock.frames > 0, options.patience ?? 10_000, 'no picture');
    return { connected, shown: window.clock.first - start };
  }, { url, token: token({ room, identity, ...server.key }), options });
  page.receiving = () => page.run(() => measure.receiving(window.me.pc));
  /** Watches for `seconds` from now on: what was decoded, shown, heard meanwhile. */
  page.observe = (seconds) => page.run((seconds) => measure.observe(window.me.pc, window.clock, seconds), seconds);
  return page;
}

/** As an answer comes that offers only UDP through a relay. For `rewrite`. */
export const onlyThrough = (port) =>
  `(sdp) => sdp.split('\\r\\n').filter((line) => !/^a=candidate:.* tcp /i.test(line))` +
  `.map((line) => line.replace(/^(a=candidate:\\S+ \\d+ udp \\d+ \\S+) \\d+/i, '$1 ${port}')).join('\\r\\n')`;

/** As an answer comes through a network without UDP. For `rewrite`. */
export const withoutUdp = `(sdp) => sdp.split('\\r\\n').filter((line) => !/^a=candidate:.* udp /i.test(line)).join('\\r\\n')`;
