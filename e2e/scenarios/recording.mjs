// Recorded files in a browser: each kind plays, with picture and sound, and jumps to where it is told.

import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { openChromium } from '../lib/browsers.mjs';
import { start } from '../lib/programs.mjs';
import { bounded, check, scenario } from '../lib/runner.mjs';

const PROGRAM = process.env.ALTHING_CONTAINERS ?? new URL('../../target/debug/examples/containers', import.meta.url).pathname;
const TYPES = { '.webm': 'video/webm', '.mkv': 'video/x-matroska', '.mp4': 'video/mp4', '.ogg': 'audio/ogg' };

/** Serves a folder with ranges, as a player that jumps needs it, and an empty page at `/`. */
async function serveRanges(t, folder) {
  const server = createServer(async (request, response) => {
    const name = basename(request.url);
    if (!name) return response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>files</title><body>');
    const file = join(folder, name);
    const size = await stat(file).then((found) => found.size, () => undefined);
    if (size === undefined) return response.writeHead(404).end();
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = to ? Number(to) : size - 1;
    response.writeHead(from ? 206 : 200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
      'accept-ranges': 'bytes',
      'content-length': end - start + 1,
      ...(from && { 'content-range': `bytes ${start}-${end}/${size}` }),
    });
    createReadStream(file, { start, end }).on('error', () => response.destroy()).pipe(response);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.defer(() => new Promise((done) => {
    server.closeAllConnections();
    server.close(done);
  }));
  return `http://localhost:${server.address().port}`;
}

/** Runs in the page: plays a file a little, jumps, plays again. */
async function play(url) {
  const video = document.createElement('video');
  document.body.append(video);
  const event = (name) => new Promise((done, fail) => {
    video.addEventListener(name, done, { once: true });
    video.addEventListener('error', () => fail(new Error(`${name}: ${video.error?.message}`)), { once: true });
    setTimeout(() => fail(new Error(`${name} did not come; ready ${video.readyState}, at ${video.currentTime}`)), 10_000);
  });
  const plays = async () => {
    const before = video.currentTime;
    await video.play();
    while (video.currentTime < before + 0.3) await event('timeupdate');
    video.pause();
    return video.currentTime;
  };
  const ready = event('loadedmetadata');
  video.src = url;
  await ready;
  const first = await plays();
  const jumps = [];
  for (const to of [4.2, 1.1]) {
    const there = event('seeked');
    video.currentTime = to;
    await there;
    jumps.push([to, video.currentTime, await plays()]);
  }
  const frames = video.getVideoPlaybackQuality().totalVideoFrames;
  const sound = video.webkitAudioDecodedByteCount;
  const seen = { first, jumps, frames, sound, duration: video.duration, width: video.videoWidth };
  video.remove();
  return seen;
}

scenario('recording: every kind of file plays and jumps in chromium', { seconds: 120, beside: true }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'althing-recordings-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const { done, said } = start(t, PROGRAM, [folder]);
  check((await bounded(done, 60_000, 'writing the files')) === 0, `the files were not written: ${said.join(' ')}`);
  const names = (await readdir(folder)).filter((name) => extname(name) in TYPES).sort();
  check(names.length === 10, `there are ${names.length} files: ${names.join(' ')}`);
  const base = await serveRanges(t, folder);
  const page = await (await openChromium(t)).page(base);
  for (const name of names) {
    const seen = await page.run(play, `${base}/${name}`).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
    t.note(`${name}: ${JSON.stringify(seen)}`);
    check(Math.abs(seen.duration - 6) < 0.1, `${name} says that it lasts ${seen.duration} s`);
    for (const [to, there, after] of seen.jumps) {
      check(Math.abs(there - to) < 0.05 && after > to + 0.2, `${name}: told to go to ${to} s it went to ${there} and ${after}`);
    }
    check(seen.sound > 0, `${name} is silent`);
    if (!name.startsWith('sound')) check(seen.width === 320 && seen.frames > 10, `${name}: ${seen.frames} pictures, ${seen.width} wide`);
  }
  t.measured('files', names.length);
});
