// A recording on the disk, made without a meeting: every second each picture flashes and each microphone beeps, in the same moment.

import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SECOND = 1e9;
/** How long it is, in seconds. */
export const LENGTH = 14;
/** When files begin. Pictures come every 40 ms, so that their flashes are where the beeps are. */
const [adaFrom, björnFrom, cleoFrom] = [0.4, 2.36, 1.271];

/** When the flash and the beep of each second are there, for a file that begins at `from`. */
const beat = (from) => `lt(mod(t+${from},1),0.12)`;

/** A picture of this colour that flashes white. */
function camera(path, from, colour, rate = '100k') {
  const flash = `drawbox=color=white:t=fill:enable='${beat(from)}'`;
  const source = `color=${colour}:s=240x136:r=25:d=${LENGTH - from}`;
  const noise = rate === '100k' ? '' : ',noise=alls=60:allf=t';
  return run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', `${source},${flash}${noise}`, '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '16', '-b:v', rate, '-g', '90', path]);
}

function microphone(path, from, tone, until = LENGTH) {
  const source = `aevalsrc='if(${beat(from)},0.4*sin(2*PI*${tone}*t),0)':s=48000:d=${until - from}`;
  return run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, '-c:a', 'libopus', '-b:a', '32k', path]);
}

/** Where the media are that all scenarios share, until the end of the program. */
let media;

async function make() {
  const folder = await mkdtemp(join(tmpdir(), 'althing-media-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await Promise.all([
    microphone(join(folder, 't01-microphone.webm'), 0.02, 700),
    camera(join(folder, 't02-camera.webm'), adaFrom, 'blue', '1M'),
    microphone(join(folder, 't03-microphone.webm'), björnFrom, 1100),
    camera(join(folder, 't04-camera.webm'), björnFrom + 0.48, 'red'),
    microphone(join(folder, 't05-microphone.webm'), cleoFrom, 1700, 11),
    writeFile(join(folder, 't06-screen-share.webm'), 'this is no picture'),
    writeFile(join(folder, 'captions-en.vtt'), 'WEBVTT\n\n00:00:04.000 --> 00:00:07.000\nThe budget is large.\n'),
  ]);
  return folder;
}

const at = (seconds) => Math.round(seconds * SECOND);
const span = (from, until) => ({ from: at(from), until: until === undefined ? null : at(until) });

/**
 * Puts a recording of `room` into the folder of recordings: Ada with a camera of 1 Mbit/s, Björn with one who comes later and
 * whose camera is red, Cleo, who only speaks, and a file that is none. Gives its name.
 */
export async function record(recordings, room) {
  const name = `1700000000000-${room}`;
  const folder = join(recordings, name);
  await mkdir(folder, { recursive: true });
  await cp(await (media ??= make()), folder, { recursive: true });
  const track = (number, person, kind, source, from, until = LENGTH) => ({
    track: number, person, kind, source, span: span(from - 0.01, until), formats: [], mutes: [], gaps: [], pauses: [],
    files: [{ file: `t0${number}-${source}.webm`, from: at(from), until: at(until) }],
  });
  const tracks = [
    track(1, 1, 'audio', 'microphone', 0.02), track(2, 1, 'video', 'camera', adaFrom), track(3, 2, 'audio', 'microphone', björnFrom),
    track(4, 2, 'video', 'camera', björnFrom + 0.48), track(5, 3, 'audio', 'microphone', cleoFrom, 11), track(6, 2, 'video', 'screen-share', 12.5),
  ];
  tracks[1].mutes.push(span(10, 12));
  const person = (number, identity, from, until) => ({ person: number, identity, name: identity, stay: span(from, until) });
  const manifest = {
    version: 1, recording: name, room, unix_ms: 1700000000000, duration: at(LENGTH), complete: true,
    people: [person(1, 'Ada', 0), person(2, 'Björn', 2), person(3, 'Cleo', 1, 11)], tracks,
    speakers: [{ at: 0, value: [1] }, { at: at(5), value: [2, 1] }, { at: at(6), value: [2] }, { at: at(9), value: [3] }],
    chat: [{ at: at(1), person: 1, text: 'hello' }, { at: at(6), person: 2, text: 'the numbers are at https://example.org/' }],
    chapters: [{ at: 0, value: 'Welcome' }, { at: at(5), value: 'The budget' }], consent: [], deleted: [], keep_days: null, missed: 0,
    log: { lines: 1, hash: '', key: '' },
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await writeFile(join(folder, 'events.jsonl'), `${JSON.stringify({ n: 0, at: 0, prev: '', type: 'opened', version: 1, recording: name, room, unix_ms: 1700000000000, key: '' })}\n`);
  return name;
}
