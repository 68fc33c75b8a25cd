// One file of a recorded meeting: `conference compose`.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LENGTH, record } from '../lib/recorded.mjs';
import { bounded, check, scenario } from '../lib/runner.mjs';
import { PROGRAM, follow } from '../lib/server.mjs';

const run = promisify(execFile);
const SIZE = { width: 640, height: 360 };

/** The colours of a moment at some places, as `rgb` of 0 to 9 each: `900` is red. */
async function colours(file, at, places) {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-ss', String(at), '-i', file, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], { encoding: 'buffer', maxBuffer: 1 << 24 });
  return places.map(([x, y]) => [0, 1, 2].map((part) => Math.round((stdout[(y * SIZE.width + x) * 3 + part] * 9) / 255)).join(''));
}

/** All sound, 8000 times a second. */
async function sound(file) {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-ac', '1', '-ar', '8000', '-f', 'f32le', '-'], { encoding: 'buffer', maxBuffer: 1 << 24 });
  return new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + (stdout.length & ~3)));
}

/** How loud a tone is in the 80 ms from `at` on (Goertzel). */
function tone(samples, at, frequency) {
  const part = samples.subarray(Math.round(at * 8000), Math.round(at * 8000) + 640);
  const factor = 2 * Math.cos((2 * Math.PI * frequency) / 8000);
  let [one, two] = [0, 0];
  for (const sample of part) [one, two] = [sample + factor * one - two, one];
  return (2 * Math.sqrt(one * one + two * two - factor * one * two)) / part.length;
}

const is = (colour, wanted) => [...wanted].every((part, place) => Math.abs(Number(part) - Number(colour[place])) <= 2);

scenario('recording: one file of a meeting', { seconds: 120, beside: true }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'althing-compose-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const name = await record(folder, 'hall');
  const make = (layout, output, ...rest) => ['compose', join(folder, name), '--layout', layout, '--output', output, '--size', `${SIZE.width}x${SIZE.height}`, ...rest];
  const compose = (...args) => run(PROGRAM, make(...args));
  const speaker = join(folder, 'speaker.mp4');
  const refused = await compose('speaker', speaker, '--ffmpeg', '/nowhere/ffmpeg').catch((error) => error);
  check(/`\/nowhere\/ffmpeg` is not here/.test(refused.stderr), `without ffmpeg it says: ${refused.stderr}`);
  const { stderr } = await bounded(compose('speaker', speaker), 80_000, 'making a file');
  check(/t06-screen-share.webm is left out/.test(stderr) && /100 %/.test(stderr), `it says: ${stderr}`);
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name,width:format=duration', '-of', 'json', speaker]);
  const { streams, format } = JSON.parse(stdout);
  check(streams.map((one) => one.codec_name).join() === 'h264,aac' && streams[0].width === SIZE.width, `its streams are ${JSON.stringify(streams)}`);
  check(Math.abs(Number(format.duration) - LENGTH) < 0.1, `it is ${format.duration} s long`);

  // Who speaks is large: Ada (blue) first, then Björn (red); beside them the other, and Cleo without a picture.
  const middle = [266, 180];
  const [upper, lower] = [[590, 138], [590, 196]];
  check(is((await colours(speaker, 4.5, [middle]))[0], '009'), `at 4.5 s there is ${await colours(speaker, 4.5, [middle])}`);
  const later = await colours(speaker, 7.5, [middle, upper, lower]);
  check(is(later[0], '900') && is(later[1], '009') && !is(later[2], '000'), `at 7.5 s there is ${later}`);
  check(is((await colours(speaker, 8.04, [middle]))[0], '999'), 'the flash of the eighth second is not there');
  const [muted] = await colours(speaker, 11.5, [middle]);
  check(!is(muted, '009') && !is(muted, '000'), `for Ada, whose camera is muted, there is ${muted}`);

  // All are heard, each in its time.
  const samples = await sound(speaker);
  for (const [at, wanted] of [[1.02, [700]], [8.02, [700, 1100, 1700]], [8.5, []], [12.02, [700, 1100]]]) {
    const heard = [700, 1100, 1700].filter((one) => tone(samples, at, one) > 0.1);
    check(heard.join() === wanted.join(), `at ${at} s one hears ${heard}`);
  }
  const onset = samples.findIndex((value, place) => place > 7.5 * 8000 && Math.abs(value) > 0.05) / 8000;
  t.measured('beep of 8 s, ms late', Math.round((onset - 8) * 1000));
  check(Math.abs(onset - 8) < 0.03, `the beep of the eighth second is at ${onset} s`);

  // One that is there is not replaced, and what is broken off leaves nothing.
  const again = await compose('speaker', speaker).catch((error) => error);
  check(/is there already/.test(again.stderr), `a second one says: ${again.stderr}`);
  const child = spawn(PROGRAM, make('grid', join(folder, 'grid.mp4')), { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((done) => child.once('exit', done));
  follow(child.stderr, (line) => /^\d+ %/.test(line) && child.kill('SIGTERM'));
  check((await bounded(ended, 60_000, 'breaking it off')) !== 0, 'it was not broken off');
  const left = await readdir(folder);
  check(left.sort().join() === [name, 'speaker.mp4'].sort().join(), `there is ${left}`);
  if (process.env.ALTHING_SHOTS) await run('ffmpeg', ['-v', 'error', '-y', '-ss', '7.5', '-i', speaker, '-frames:v', '1', join(process.env.ALTHING_SHOTS, 'compose-speaker.png')]);
});
