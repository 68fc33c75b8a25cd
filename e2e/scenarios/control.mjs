// What watchers choose and are told: layers, mute, who comes and goes.

import { openChromium } from '../lib/browsers.mjs';
import { publish, watch } from '../lib/people.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { startServer } from '../lib/server.mjs';

const width = async (page) => (await page.receiving()).width;

scenario('control: a watcher chooses layers', { seconds: 90 }, async (t) => {
  const server = await startServer(t);
  const publisher = await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  const choose = async (layer, wanted) => {
    await watcher.run(() => window.clock.reset());
    await watcher.run((layer) => window.me.limit(layer), layer);
    const start = performance.now();
    await until(`a picture ${wanted} wide`, async () => (await width(watcher)) === wanted, 12_000);
    t.measured(`to ${wanted} ms`, Math.round(performance.now() - start));
  };
  await choose(0, 240);
  await choose(1, 480);
  await choose(0, 240);
  // The largest is there only when Chromium finds the time and the bandwidth for it.
  const largest = await until('all three encodings', async () => {
    const sent = (await publisher.sending()).find((one) => one.rid === 'f');
    return sent?.frames > 30;
  }, 15_000).catch(() => false);
  t.measured('largest encoding', largest ? 'sent' : 'not sent');
  if (largest) await choose(undefined, 960);
  await sleep(500);
  const seen = await watcher.observe(4);
  t.measured('longest gap ms', Math.round(seen.longestGap));
  check(seen.decoded > 80, `only ${seen.decoded} frames in 4 s`);
  check(seen.longestGap < 500, `the picture stood still for ${Math.round(seen.longestGap)} ms`);
});

scenario('control: a muted track stops and comes back with a picture', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const publisher = await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  const muted = async () => (await server.room('hall')).participants.find((one) => one.identity === 'publisher').tracks.find((one) => one.kind === 'video').muted;
  await publisher.run(() => window.me.mute('video', true));
  await until('the listing says so', muted, 3000);
  await sleep(500);
  const before = await watcher.receiving();
  await sleep(1500);
  const during = await watcher.receiving();
  check(during.framesDecoded === before.framesDecoded, `${during.framesDecoded - before.framesDecoded} frames came while muted`);
  check(during.audioPackets > before.audioPackets + 40, 'the sound stopped as well');
  await watcher.run(() => window.clock.reset());
  const start = performance.now();
  await publisher.run(() => window.me.mute('video', false));
  await until('a picture', () => watcher.run(() => window.clock.read().frames > 0), 5000, 20);
  t.measured('picture again after ms', Math.round(performance.now() - start));
  check(performance.now() - start < 2000, 'the picture needed more than 2 s to come back');
  check(!(await muted()), 'the listing still says muted');
});

scenario('control: watchers are told when a publisher leaves and comes back', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const publisher = await publish(t, browser, server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  await watcher.run(async () => {
    const headers = { authorization: `Bearer ${window.token}` };
    const made = await fetch(`${window.me.resource}/sse`, { method: 'POST', headers });
    const stream = await fetch(new URL(made.headers.get('location'), location), { headers });
    window.told = [];
    (async () => {
      for (const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
        const { value, done } = await reader.read();
        if (done) return;
        for (const [, name] of value.matchAll(/^event: ?(\S+)/gm)) window.told.push(name);
      }
    })();
  });
  await until('active', () => watcher.run(() => window.told.includes('active')), 5000);
  await publisher.run(() => window.me.close());
  await until('inactive', () => watcher.run(() => window.told.at(-1) === 'inactive'), 5000);
  check((await server.room('hall')).participants.every((one) => one.identity !== 'publisher'), 'the publisher is still listed');
  await watcher.run(() => window.clock.reset());
  await publish(t, browser, server, 'hall');
  await until('active again', () => watcher.run(() => window.told.lastIndexOf('active') > window.told.indexOf('inactive')), 5000);
  await until('a picture again on the same session', () => watcher.run(() => window.clock.read().frames > 10), 5000);
});

scenario('control: a publisher whose page is gone without a word is forgotten', { seconds: 90, beside: true }, async (t) => {
  const server = await startServer(t);
  const doomed = await openChromium(t);
  await publish(t, doomed, server, 'hall');
  await doomed.crash();
  const start = performance.now();
  await until('the room is empty', async () => (await server.room('hall')).participants.length === 0, 45_000, 500);
  t.measured('forgotten after s', (performance.now() - start) / 1000);
  const { sessions, routers } = await server.stats();
  check(sessions === 0 && routers.every((one) => one.endpoints === 0), 'something was left behind');
});
