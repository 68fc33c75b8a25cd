// Clients that are no browsers: aiortc publishes and watches, ffmpeg sends plain RTP.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { find, openChromium } from '../lib/browsers.mjs';
import { publish, watch } from '../lib/people.mjs';
import { python, start } from '../lib/programs.mjs';
import { freePair } from '../lib/relay.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';
import { demand } from './picture.mjs';

for (const codec of ['vp8', 'h264']) {
  scenario(`others: aiortc publishes ${codec}`, { seconds: 90 }, async (t) => {
    const server = await startServer(t);
    const publishing = python(t, 'publish.py', [`${server.base}/whip/hall`, token({ room: 'hall', identity: 'snake' }), 18, codec], 60);
    publishing.catch(() => {});
    await until('the publisher', async () => (await server.room('hall')).participants[0]?.tracks.length === 2, 20_000);
    const watcher = await watch(t, await openChromium(t), server, 'hall');
    const seen = await watcher.observe(10);
    demand(t, seen);
    const told = await publishing;
    t.measured('srtp of the publisher', told.srtp);
    check(/GCM/.test(told.srtp), `SRTP is ${told.srtp}`);
    check(told.status === 200, `DELETE was answered with ${told.status}`);
    await until('the watcher sees nobody', async () => {
      const before = (await watcher.receiving()).framesDecoded;
      await sleep(500);
      return (await watcher.receiving()).framesDecoded === before;
    });
  });
}

scenario('others: aiortc watches', { seconds: 90 }, async (t) => {
  const server = await startServer(t);
  await publish(t, await openChromium(t), server, 'hall');
  const seen = await python(t, 'watch.py', [`${server.base}/whep/hall`, token({ room: 'hall', identity: 'snake' }), 10], 60);
  for (const name of ['first', 'frames', 'gap', 'width', 'sounds', 'loud', 'srtp']) t.measured(name, seen[name]);
  check(seen.frames >= 200, `only ${seen.frames} frames`);
  check(seen.gap < 0.5, `the picture stood still for ${seen.gap} s`);
  check(seen.sounds > 400 && seen.loud > 0.01, 'silence');
  check(/GCM/.test(seen.srtp), `SRTP is ${seen.srtp}`);
  check(seen.status === 200, `DELETE was answered with ${seen.status}`);
});

scenario('others: ffmpeg plays a file into the plain RTP door', { seconds: 120 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'althing-rtp-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const film = join(folder, 'film.webm');
  const ffmpeg = find('ffmpeg');
  const make = start(t, ffmpeg, ['-loglevel', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=480x270:rate=30', '-f', 'lavfi', '-i', 'sine=frequency=440',
    '-t', '18', '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30', '-b:v', '500k', '-c:a', 'libopus', film]);
  check((await make.done) === 0, 'ffmpeg could not make a film');

  const [audio, video] = [await freePair(), await freePair()];
  const config = join(folder, 'althing.toml');
  await writeFile(config, `[[rtp_in]]\nroom = "hall"\nidentity = "projector"\naudio = { port = ${audio}, codec = "opus", pt = 111 }\nvideo = { port = ${video}, codec = "vp8", pt = 96 }\n`);
  const server = await startServer(t, { flags: ['--config', config] });
  const { participants } = await server.room('hall');
  check(participants[0]?.identity === 'projector' && participants[0].tracks.length === 2, 'the door is not shown in the room');
  start(t, ffmpeg, ['-loglevel', 'error', '-re', '-i', film,
    '-map', '0:v', '-c', 'copy', '-payload_type', '96', '-f', 'rtp', `rtp://127.0.0.1:${video}`,
    '-map', '0:a', '-c', 'copy', '-payload_type', '111', '-f', 'rtp', `rtp://127.0.0.1:${audio}`]);
  const watcher = await watch(t, await openChromium(t), server, 'hall', { participant: 'projector' });
  t.measured('first picture ms', Math.round(watcher.firstPicture.shown));
  demand(t, await watcher.observe(10));
});
