// Recorded files in a browser: each kind plays, with picture and sound, and jumps to where it is told, as the picture shows; and
// MP4 as another implementation reads it.

import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { createFile } from 'mp4box';
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

/** What mp4box has to say of a fragmented MP4 of six seconds: its tracks, or what is wrong with it. */
async function judge(path) {
  const bytes = await readFile(path);
  const file = createFile();
  const faults = [];
  file.onError = (module, message) => faults.push(`${module}: ${message}`);
  let info;
  file.onReady = (found) => {
    info = found;
    for (const { id } of found.tracks) file.setExtractionOptions(id, undefined, { nbSamples: 1_000_000 });
  };
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  data.fileStart = 0;
  file.appendBuffer(data);
  file.flush();
  if (!info?.isFragmented) faults.push('it is no fragmented file');
  // Boxes fill the file, and each what is around it; none is unknown.
  const look = (box) => {
    if (box.has_unparsed_data) faults.push(`${box.type} at ${box.start} holds more than it should`);
    if (box.constructor.name === 'Box' && !['mdat', 'free'].includes(box.type)) faults.push(`${box.type} at ${box.start} is unknown`);
    for (const inner of box.boxes ?? []) look(inner);
  };
  file.boxes.forEach(look);
  const length = file.boxes.reduce((sum, box) => sum + box.size, 0);
  if (length !== bytes.length) faults.push(`boxes of ${length} bytes in a file of ${bytes.length}`);
  const tracks = (info?.tracks ?? []).map((track) => {
    const samples = file.getTrackSamplesInfo(track.id);
    samples.forEach((sample, n) => {
      const next = samples[n + 1]?.dts ?? Infinity;
      if (sample.dts + sample.duration > next) faults.push(`sample ${n} of track ${track.id} lasts until after the next begins`);
      if (sample.offset + sample.size > bytes.length) faults.push(`sample ${n} of track ${track.id} is outside`);
    });
    const { dts, duration } = samples.at(-1);
    return { codec: track.codec, samples: samples.length, starts: samples.filter((one) => one.is_sync).length, end: (dts + duration) / track.timescale };
  });
  return { tracks, faults };
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
  const canvas = new OffscreenCanvas(320, 180).getContext('2d', { willReadFrequently: true });
  // The second and its tenth, as the picture tells them: by so much luma each is brighter than the one before.
  const shown = () => {
    canvas.drawImage(video, 0, 0);
    const step = (x, luma) => {
      const { data } = canvas.getImageData(x, 86, 8, 8);
      const light = data.reduce((sum, value, n) => sum + (n % 4 === 1 ? value : 0), 0) / 64;
      return Math.round((light * 219) / 255 / luma);
    };
    return step(76, 40) + step(236, 23) / 10;
  };
  const jumps = [];
  // In the middle of a tenth: forwards, and back.
  for (const to of [4.25, 1.15, 5.55]) {
    const there = event('seeked');
    video.currentTime = to;
    await there;
    // The picture may be drawn a moment after it was said to be there.
    const patience = performance.now() + 2000;
    while (video.videoWidth && Math.abs(shown() + 0.05 - to) > 0.01 && performance.now() < patience) await new Promise((next) => setTimeout(next, 20));
    jumps.push([to, video.currentTime, video.videoWidth ? shown() : undefined, to < 5 ? await plays() : to + 1]);
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
  for (const name of names.filter((name) => extname(name) === '.mp4')) {
    const { tracks, faults } = await judge(join(folder, name));
    t.note(`${name}: ${JSON.stringify(tracks)}`);
    check(faults.length === 0, `${name}: ${faults.slice(0, 5).join('; ')}`);
    check(tracks.length === (name.startsWith('sound') ? 1 : 2), `${name} has ${tracks.length} tracks`);
    for (const { codec, samples, starts, end } of tracks) {
      const [wanted, keys] = codec === 'opus' || codec === 'Opus' ? [300, 300] : [180, 6];
      check(samples === wanted && starts === keys && Math.abs(end - 6) < 0.05, `${name}: ${codec} has ${samples} samples, ${starts} to start at, and ends at ${end} s`);
    }
  }
  const base = await serveRanges(t, folder);
  const page = await (await openChromium(t)).page(base);
  for (const name of names) {
    const seen = await page.run(play, `${base}/${name}`).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
    t.note(`${name}: ${JSON.stringify(seen)}`);
    check(Math.abs(seen.duration - 6) < 0.1, `${name} says that it lasts ${seen.duration} s`);
    for (const [to, there, shown, after] of seen.jumps) {
      check(Math.abs(there - to) < 0.05 && after > to + 0.2, `${name}: told to go to ${to} s it went to ${there} and ${after}`);
      check(name.startsWith('sound') || Math.abs(shown + 0.05 - to) < 0.01, `${name}: told to go to ${to} s it shows the picture of ${shown} s`);
    }
    check(seen.sound > 0, `${name} is silent`);
    if (!name.startsWith('sound')) check(seen.width === 320 && seen.frames > 10, `${name}: ${seen.frames} pictures, ${seen.width} wide`);
  }
  t.measured('files', names.length);
});
