// A camera in one browser, through the server, onto the screen of another.

import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { publish, watch } from '../lib/people.mjs';
import { check, scenario } from '../lib/runner.mjs';
import { startServer } from '../lib/server.mjs';

/** The demands on ten seconds of watching. */
export function demand(t, seen, { frames = 200, gap = 500 } = {}) {
  t.note(JSON.stringify(seen));
  t.measured('decoded', seen.decoded);
  t.measured('longest gap ms', Math.round(seen.longestGap));
  t.measured('level', seen.level ?? 'none');
  t.measured('skew ms', seen.skew ?? 'none');
  t.measured('srtp', seen.srtpCipher ?? 'none');
  t.measured('tls', seen.tlsVersion ?? 'none');
  check(seen.decoded >= frames, `only ${seen.decoded} frames decoded`);
  check(seen.longestGap <= gap, `the picture stood still for ${Math.round(seen.longestGap)} ms`);
  check(!(seen.frozen * 1000 > gap), `frozen for ${seen.frozen} s`);
  check(seen.level > 0.01, `silence: ${seen.level}`);
  check(Math.abs(seen.skew) < 80, `sound and picture are ${seen.skew} ms apart`);
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
  const server = await startServer(t);
  await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openFirefox(t), server, 'hall');
  t.measured('first picture ms', Math.round(watcher.firstPicture.shown));
  demand(t, await watcher.observe(10));
});
