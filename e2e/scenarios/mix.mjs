// The mix: one stream of sound of everybody, for watchers by WHEP and for members by the SDK, and without oneself for who talks.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openChromium } from '../lib/browsers.mjs';
import { enter } from '../lib/meeting.mjs';
import { member } from '../lib/members.mjs';
import { watch } from '../lib/people.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer } from '../lib/server.mjs';

const ADA = 440;
const BEN = 700;
const SCREEN = 1100;
const NOBODY = 1500;
const TONES = [ADA, BEN, SCREEN, NOBODY];

async function mixingServer(t) {
  const folder = await mkdtemp(join(tmpdir(), 'althing-config-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'althing.toml'), '[mix]\non = true\n');
  return startServer(t, { flags: ['--config', join(folder, 'althing.toml')] });
}

/** Joins and publishes a tone. */
async function talker(t, browser, server, identity, tone, claims = {}) {
  const page = await member(t, browser, server, 'hall', identity, claims);
  await page.run((tone) => me.sound({ tone }), tone);
  return page;
}

/** How strong each of the tones is in what comes from the mix. */
const heard = (page) =>
  page.run(async ([scripts, frequencies]) => {
    const { tones } = await import(`${scripts}/measure.js`);
    const publications = [...(me.room.remoteParticipants.get('mix')?.trackPublications.values() ?? [])];
    const track = publications.find((one) => one.track)?.track;
    if (!track) return undefined;
    if (track.attachedElements.length === 0) document.body.append(track.attach());
    return tones(track.mediaStreamTrack, frequencies);
  }, [page.scripts, TONES]);

/** Tones that are there are 30 dB above what is not. */
async function hears(t, what, look, ...expected) {
  let last;
  await until(`${what}: the right tones`, async () => {
    last = await look();
    return last && TONES.every((_, index) => (last[index] > last.at(-1) + 30) === Boolean(expected[index]));
  }, 20_000, 200).catch((error) => {
    throw new Error(`${error.message}; ${JSON.stringify(last)} dB at ${TONES} Hz`);
  });
  t.measured(what, last.join('/'));
}

scenario('mix: two talk, others hear both as one stream', { seconds: 120 }, async (t) => {
  const server = await mixingServer(t);
  const browser = await openChromium(t);
  const listening = { listen: 'mix' };
  const ada = await talker(t, browser, server, 'ada', ADA, { attributes: listening });
  await talker(t, browser, server, 'ben', BEN);
  const cleo = await member(t, browser, server, 'hall', 'cleo', { attributes: listening, grant: { canUpdateOwnMetadata: true } });
  for (const page of [ada, cleo]) page.scripts = t.scripts;
  const whep = await watch(t, await openChromium(t), server, 'hall', { participant: 'mix', soundOnly: true });
  const stream = () => whep.run((frequencies) => measure.tones(me.stream.getAudioTracks()[0], frequencies), TONES);
  await hears(t, 'by WHEP, dB', stream, true, true);
  await hears(t, 'by the SDK, dB', () => heard(cleo), true, true);
  await hears(t, 'who talks, dB', () => heard(ada), false, true);

  // Who shares the sound of a screen as well hears that as little.
  await ada.run((tone) => me.sound({ tone, source: 'screen_share_audio' }), SCREEN);
  await hears(t, 'with the sound of a screen, dB', () => heard(cleo), true, true, true);
  await hears(t, 'who shares it, dB', () => heard(ada), false, true);
  await ada.run(() => me.unpublish({ source: 'screen_share_audio' }));

  // Who stops talking hears the common mix; who leaves is not in it any more.
  await ada.run(() => me.unpublish({ source: 'microphone' }));
  await hears(t, 'without the first, dB', () => heard(cleo), false, true);
  await hears(t, 'who talks no more, dB', () => heard(ada), false, true);

  // Back and forth in the middle of the call.
  const choose = (listen) => cleo.run((listen) => me.room.localParticipant.setAttributes({ listen }), listen);
  await choose('');
  await until('no mix for who does not want it', async () => !(await heard(cleo)));
  await choose('mix');
  await hears(t, 'chosen again, dB', () => heard(cleo), false, true);

  // All go, and nothing is mixed; who comes back hears it at once, though it is the same stream to the router.
  await whep.run(() => me.close());
  await ada.run(() => me.room.disconnect());
  await choose('');
  await until('nobody has the mix', async () => !(await heard(cleo)));
  await choose('mix');
  const back = Date.now();
  await hears(t, 'after nobody listened, dB', () => heard(cleo), false, true);
  t.measured('after nobody listened, ms', Date.now() - back);
  const { participants } = await server.room('hall');
  check(participants.some((one) => one.identity === 'mix'), 'the mix is not in the listing');
});

scenario('mix: chosen on the page, and given up again', { seconds: 120, beside: true }, async (t) => {
  const server = await mixingServer(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  const others = await openChromium(t);
  for (const name of ['Björn', 'Cleo']) await enter(others, server, { name });
  await anna.sees('Björn');
  await anna.sees('Cleo');
  await until('the mix is there', () => anna.run(() => !document.getElementById('mix').closest('label').hidden));
  check((await anna.text('#count')) === '3 people', `the page counts ${await anna.text('#count')}`);
  check((await anna.tiles()).length === 3, 'the mix has a tile');
  const sounds = () => anna.run(() => document.querySelectorAll('#sounds audio').length);
  await until('the sound of each', async () => (await sounds()) === 2);
  await anna.press('[data-open=settings]');
  check(await anna.there('#mix'), 'the settings do not offer the mix');
  await anna.press('#mix');
  await until('one sound for all', async () => (await sounds()) === 1, 15_000);
  await anna.hears();
  check((await anna.rows()).every((row) => row.name !== 'Everybody'), 'the mix is in the list of people');
  await anna.press('#mix');
  await until('the sound of each again', async () => (await sounds()) === 2, 15_000);
  await anna.hears();
});
