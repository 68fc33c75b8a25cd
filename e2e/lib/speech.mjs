// A microphone that hears somebody talk: Chromium's own made-up sound is too short for whoever looks for speakers.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const RATE = 48_000;
const SECONDS = 4;

/** Flags for a Chromium whose microphone hears a voice without words, over and over; `t` removes the file. */
export async function talking(t) {
  const folder = await mkdtemp(join(tmpdir(), 'althing-speech-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'speech.wav');
  await writeFile(file, wav());
  return [`--use-file-for-fake-audio-capture=${file}`];
}

/** Four syllables a second of a voice around 140 Hz, which suppression of noise takes for a voice. */
function wav() {
  const length = RATE * SECONDS;
  const data = Buffer.alloc(44 + length * 2);
  data.write('RIFF', 0);
  data.writeUInt32LE(36 + length * 2, 4);
  data.write('WAVEfmt ', 8);
  data.writeUInt32LE(16, 16);
  data.writeUInt16LE(1, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(RATE, 24);
  data.writeUInt32LE(RATE * 2, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write('data', 36);
  data.writeUInt32LE(length * 2, 40);
  let phase = 0;
  for (let index = 0; index < length; index += 1) {
    const time = index / RATE;
    phase += (140 + 30 * Math.sin(2 * Math.PI * 0.7 * time) + 12 * Math.sin(2 * Math.PI * 5 * time)) / RATE;
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 4 * time)) ** 0.6;
    let voice = 0;
    for (let overtone = 1; overtone <= 20; overtone += 1) {
      const hertz = 140 * overtone;
      const formant = Math.exp(-(((hertz - 600) / 350) ** 2)) + 0.5 * Math.exp(-(((hertz - 1500) / 500) ** 2));
      voice += formant * Math.sin(2 * Math.PI * phase * overtone);
    }
    data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, voice * syllable * 0.25)) * 32_000), 44 + index * 2);
  }
  return data;
}
