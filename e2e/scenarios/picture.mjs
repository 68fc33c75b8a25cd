// A camera in one browser, through the server, onto the screen of another.

import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { publish, watch } from '../lib/people.mjs';
import { check, scenario, skip } from '../lib/runner.mjs';
import { startOpenServer, startServer } from '../lib/server.mjs';

/** The demands on ten seconds of watching. */
export function demand(t, seen, { frames = 200, gap = 500, late = 80 } = {}) {
  t.note(JSON.stringify(seen));
  t.measured('decoded', seen.decoded);
  t.measured('longest gap ms', Math.round(seen.longestGap));
  t.measured('level', seen.level ?? 'none');
  t.measured('skew ms', seen.skew ?? 'none');
  t.measured('srtp', seen.srtpCipher ?? 'none');
  t.measured('tls', seen.tlsVersion ?? 'none');
  check(seen.decoded >= frames, `only ${seen.decoded} frames decoded`);
  check(seen.longestGap <= gap, `the picture stood still for ${Math.round(seen.longestGap)} ms`);
  check(!(seen.frozen * 1000 > gap * seen.freezes), `frozen for ${seen.frozen} s, ${seen.freezes} times`);
  check(seen.level > 0.01, `silence: ${seen.level}`);
  check(Math.abs(seen.skew) < late, `sound and picture are ${seen.skew} ms apart`);
  check(/GCM/.test(seen.srtpCipher), `SRTP is ${seen.srtpCipher}`);
  check(['FEFC', 'FEFD'].includes(seen.tlsVersion), `DTLS version is ${seen.tlsVersion}`);
}

scenario('picture: chromium to chromium, simulcast', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const publisher = await publish(t, await openChromium(t), server, 'hall', { width: 1280, height: 720 });
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  t.measured('first picture ms', Math.round(watcher.firstPicture.shown));
  const seen = await watcher.observe(10);
  const sent = (await publisher.sending()).filter((one) => one.kind === 'video');
  t.note(JSON.stringify(sent));
  demand(t, seen);
  // The largest encoding starts when Chromium has measured that it fits: on a busy machine later than we watch.
  check(sent.length === 3 && sent.filter((one) => one.frames > 100).length >= 2, 'no simulcast was sent');
  check(seen.width >= 640, `the picture is only ${seen.width} wide`);
});

scenario('picture: chromium to firefox', { seconds: 120 }, async (t) => {
  const server = await startServer(t); // Firefox does not send to loopback, and yet it must work without a configuration
  await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openFirefox(t), server, 'hall');
  t.measured('first picture ms', Math.round(watcher.firstPicture.shown));
  demand(t, await watcher.observe(10));
});

scenario('picture: firefox to chromium', { seconds: 120 }, async (t) => {
  const server = await startOpenServer(t);
  if (!server) skip('this machine has no network address');
  const publisher = await publish(t, await openFirefox(t), server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  demand(t, await watcher.observe(10));
  const sent = (await publisher.sending()).filter((one) => one.kind === 'video');
  t.note(JSON.stringify(sent));
  check(sent.filter((one) => one.packets > 50).length >= 2, 'no simulcast was sent');
});

for (const codec of ['H264', 'VP9', 'AV1']) {
  scenario(`picture: ${codec}`, { seconds: 80 }, async (t) => {
    const server = await startServer(t);
    const browser = await openChromium(t);
    const probe = await browser.page(`${server.base}/healthz`);
    const offered = await probe.run((mime) => {
      const has = (side) => side.getCapabilities('video').codecs.some((one) => one.mimeType === mime);
      return has(RTCRtpSender) && has(RTCRtpReceiver);
    }, `video/${codec}`);
    if (!offered) skip('this browser does not offer it');
    // One small encoding: these encoders take their time on a small machine.
    await publish(t, browser, server, 'hall', { codec: `video/${codec}`, simulcast: false, width: 640, height: 360 });
    const watcher = await watch(t, await openChromium(t), server, 'hall');
    const seen = await watcher.observe(10);
    demand(t, seen);
    check(seen.videoCodec === `video/${codec}`, `the picture came as ${seen.videoCodec}`);
  });
}

scenario('picture: twenty watchers one after another', { seconds: 150 }, async (t) => {
  const server = await startServer(t);
  const publisher = await publish(t, await openChromium(t), server, 'hall', { width: 320, height: 180 });
  const asked = async () => (await publisher.sending()).filter((one) => one.kind === 'video').reduce((sum, one) => sum + one.pli + one.fir, 0);
  const before = await asked();
  const browser = await openChromium(t);
  const waits = [];
  const afterConnected = [];
  for (let index = 0; index < 20; index += 1) {
    const { connected, shown } = (await watch(t, browser, server, 'hall', { identity: `watcher-${index}` })).firstPicture;
    waits.push(shown);
    afterConnected.push(shown - connected);
    t.note(`${index}: connected after ${Math.round(connected)} ms, picture after ${Math.round(shown)} ms`);
  }
  waits.sort((a, b) => a - b);
  t.measured('median wait ms', Math.round(waits[10]));
  t.measured('longest wait ms', Math.round(waits[19]));
  t.measured('keyframe requests', (await asked()) - before);
  check(waits[10] < 1000, `half of them waited ${Math.round(waits[10])} ms for a picture`);
  // How long a browser that draws nineteen pictures already takes to connect is the machine's affair.
  const longest = Math.max(...afterConnected);
  check(longest < 1000, `one waited ${Math.round(longest)} ms for a picture after it was connected`);
  check((await asked()) - before <= 30, `the publisher got ${(await asked()) - before} keyframe requests`);
});
