// The harness itself: do the browsers start, make pictures and sound, and tell the truth about them?

import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { serveFiles } from '../lib/files.mjs';
import { check, scenario } from '../lib/runner.mjs';

async function pageToPage(t, browser) {
  const base = await serveFiles(t);
  const page = await browser.page(base);
  const seen = await page.run(async () => {
    const { loopback } = await import('/loopback.js');
    const { FrameClock, loudness, receiving, skew } = await import('/measure.js');
    const { to, video } = await loopback();
    const clock = new FrameClock(video);
    const level = await loudness(to, 1500);
    const apart = await skew(to);
    return { ...(await receiving(to)), shown: clock.read(), level, apart };
  });
  t.note(JSON.stringify(seen));
  t.measured('frames', seen.framesDecoded);
  t.measured('longest gap ms', seen.shown.longestGap);
  t.measured('level', seen.level);
  t.measured('skew ms', seen.apart ?? 'none');
  t.measured('srtp', seen.srtpCipher ?? 'none');
  check(seen.framesDecoded > 20, `only ${seen.framesDecoded} frames decoded`);
  check(seen.shown.frames > 20, `only ${seen.shown.frames} frames shown`);
  check(Math.abs(seen.apart) < 80, `sound and picture are ${seen.apart} ms apart`);
  check(seen.level > 0.01, 'silence');
}

scenario('harness: chromium page to page', { named: true }, async (t) => pageToPage(t, await openChromium(t)));
scenario('harness: firefox page to page', { seconds: 150, named: true }, async (t) => pageToPage(t, await openFirefox(t)));
