// The page of recordings: all files of a meeting played together.

import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findings, tooSmall } from '../lib/access.mjs';
import { openChromium } from '../lib/browsers.mjs';
import { lobby } from '../lib/meeting.mjs';
import { LENGTH, record } from '../lib/recorded.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { bearer, startServer, token } from '../lib/server.mjs';

const BEATS = new URL('../page/beats.js', import.meta.url);
/** How far pictures and sounds of one moment may be apart, in ms. */
const APART = 80;

/** A server with one recording of the room `hall`. */
async function served(t) {
  const data = await mkdtemp(join(tmpdir(), 'althing-data-'));
  t.defer(() => rm(data, { recursive: true, force: true }));
  const name = await record(join(data, 'recordings'), 'hall');
  const flags = process.env.ALTHING_PAGE ? ['--page', process.env.ALTHING_PAGE] : [];
  const server = await startServer(t, { flags: ['--data', data, ...flags] });
  const link = (grant = { roomRecord: true }, room = 'hall') => `/watch#${new URLSearchParams({ room: 'hall', recording: name, token: token({ room, identity: 'viewer', grant }) })}`;
  return { data, name, server, link };
}

const time = (page) => page.run(() => Number(document.getElementById('bar').value));
/** Goes to a time as somebody does who drags the bar. */
const seek = (page, to) => page.run((to) => {
  const bar = document.getElementById('bar');
  bar.value = to;
  bar.dispatchEvent(new Event('change'));
}, to);
const large = async (page) => (await page.run(() => document.querySelector('.tile.main .name')?.textContent)) ?? '';
const loaded = (page) => page.run(() => [...document.querySelectorAll('video[src], #sounds audio')].map((one) => one.src.split('/').at(-1)).sort());

scenario('recording: all files are played together, wherever one goes', { seconds: 150 }, async (t) => {
  const { server, link } = await served(t);
  const page = await lobby(await openChromium(t), server, link());
  await until('the player', () => page.there('#play'));
  const source = (await readFile(BEATS, 'utf8')).replaceAll('export ', '');
  await page.run((source) => void (window.beats = new Function(`${source}; return { follow, spreads };`)()), source);
  await page.press('#layout');
  const apart = async (to) => {
    await seek(page, to);
    await until('all play', () => page.run(() => document.getElementById('waiting').textContent === '' && [...document.querySelectorAll('#sounds audio')].every((one) => !one.paused)));
    return page.run(async () => {
      const stop = beats.follow();
      await new Promise((done) => setTimeout(done, 2700));
      return beats.spreads(stop());
    });
  };
  await page.press('#play');
  await sleep(3500); // all have come
  const spreads = await apart(4.3);
  t.note(`apart by ${spreads.map(Math.round)} ms`);
  t.measured('apart, ms', Math.round(Math.max(...spreads)));
  check(spreads.length >= 2 && Math.max(...spreads) <= APART, `of ${spreads.length} beats the files are ${spreads.map(Math.round)} ms apart`);
});

scenario('recording: the page of one, for all', { seconds: 150, beside: true }, async (t) => {
  const { data, name, server, link } = await served(t);
  const asks = (path, { grant = { roomRecord: true }, room = 'hall', ...rest } = {}) =>
    fetch(`${server.base}/recordings/hall/${path}`, { headers: bearer(token({ room, identity: 'viewer', grant })), ...rest });
  // Who has no right sees nothing, and no path leads elsewhere.
  check((await asks(name, { grant: {} })).status === 403, 'who only joins may see it');
  check((await asks(name, { room: 'other' })).status === 403, 'a token of another room opens it');
  check((await fetch(`${server.base}/recordings/other/${name}`, { headers: bearer(token({ room: 'other', identity: 'viewer', grant: { roomRecord: true } })) })).status === 404, 'another room has it too');
  check((await asks(name, { method: 'DELETE' })).status === 403, 'who records may delete');
  const { pass } = await (await asks(name)).json();
  const file = (path, headers = {}) => fetch(`${server.base}/recordings/hall/${name}/${path}`, { headers });
  const size = (await stat(join(data, 'recordings', name, 't02-camera.webm'))).size;
  const part = await file(`${pass}/t02-camera.webm`, { range: 'bytes=100-' });
  check(part.status === 206 && (await part.arrayBuffer()).byteLength === Math.min(size - 100, 1 << 20), `a part of ${size} is ${part.status}, ${part.headers.get('content-range')}`);
  check((await (await file(`${pass}/t02-camera.webm`)).arrayBuffer()).byteLength === size, 'the whole is not whole');
  for (const [path, status] of [
    [`${pass}/events.jsonl`, 404], [`${pass}/manifest.json`, 404], [`${pass}/..%2f..%2frecorder.key`, 404], [`${pass}/..%2f${name}%2ft02-camera.webm`, 404],
    [`${pass}/t09-camera.webm`, 404], [`${pass.replace(/^\d/, '9')}/t02-camera.webm`, 403], ['1-00/t02-camera.webm', 403],
  ]) check((await file(path)).status === status, `${path} gives ${(await file(path)).status}`);

  const phone = Boolean(process.env.ALTHING_PHONE);
  const browser = await openChromium(t, phone ? { viewport: { width: 390, height: 844 }, colorScheme: 'dark' } : {});
  const page = await lobby(browser, server, link());
  await until('the player', () => page.there('#play'));
  check(!page.raw.url().includes('token'), 'the token is left in the address');
  const found = [];
  const look = async (where) => {
    found.push(...[...(await findings(page)), ...(await tooSmall(page))].map((text) => `${where}: ${text}`));
    if (process.env.ALTHING_SHOTS) await page.screenshot(`${process.env.ALTHING_SHOTS}/${phone ? 'phone' : 'desktop'}-${where}.png`);
  };
  await seek(page, 0.7);
  await until('a picture', () => page.run(() => Boolean(document.querySelector('.tile.main:not(.no-picture)'))));
  await look('begin');
  // Where one goes, all follow: who is large, what was written, the chapter, the captions.
  await seek(page, 6.5);
  await until('who speaks is large', async () => (await large(page)) === 'Björn');
  await page.press('#controls [data-panel=chat]');
  const messages = () => page.run(() => [...document.querySelectorAll('.message:not([hidden]) .words')].map((one) => one.textContent));
  check((await messages()).length === 2 && (await page.text('#chapter-now')) === 'The budget', `written is ${await messages()}`);
  await page.run(() => {
    document.getElementById('captions').value = 'captions-en.vtt';
    document.getElementById('captions').dispatchEvent(new Event('change'));
  });
  await page.told('#caption', /^The budget is large\.$/);
  await look('chat');
  await seek(page, 3);
  await until('who speaks is large', async () => (await large(page)) === 'Ada');
  check((await messages()).length === 1, 'what was written later is there already');
  await page.press('#controls [data-panel=chapters]');
  await look('chapters');
  await page.press('#chapter-list li:nth-child(2) button');
  check(Math.abs((await time(page)) - 5) < 0.2, 'a chapter leads elsewhere');
  await page.press('#layout');
  await until('the grid', () => page.run(() => !document.querySelector('.tile.main') && document.querySelectorAll('.tile').length === 3));
  await page.key('Escape');
  await look('grid');
  // The keyboard; a muted camera is a name; a file that is none is told, and the rest is played.
  await seek(page, 10.5);
  await until('the muted camera is away', () => page.run(() => Boolean(document.querySelector('.tile.no-picture[data-identity=Ada]'))));
  await page.run(() => document.activeElement.blur());
  await page.key('ArrowRight');
  await page.told('#banner p', /Björn’s screen: the file is missing/);
  check(Math.abs((await time(page)) - LENGTH) < 0.01, 'an arrow does not go to the end');
  await look('broken');
  await page.key('Home');
  await page.key('>');
  await page.key('k');
  await until('it plays faster', () => page.run(() => [...document.querySelectorAll('#sounds audio')].some((one) => !one.paused && one.playbackRate > 1.15)));
  await page.key('a');
  await until('no picture is loaded', async () => (await loaded(page)).every((one) => one.includes('microphone')));
  await look('listen');
  await page.key('k');
  check(found.length === 0, `${found.length} findings: ${found.join('; ')}`);

  // The list; who may deletes; what is deleted says so.
  await page.close();
  const list = await lobby(browser, server, `/watch#${new URLSearchParams({ room: 'hall', token: token({ room: 'hall', identity: 'admin', grant: { roomAdmin: true } }) })}`);
  await until('the list', () => list.run(() => Boolean(document.querySelector('.recording a'))));
  found.push(...await findings(list));
  check(found.length === 0, `${found.length} findings in the list: ${found.join('; ')}`);
  if (process.env.ALTHING_SHOTS) await list.screenshot(`${process.env.ALTHING_SHOTS}/${phone ? 'phone' : 'desktop'}-list.png`);
});
