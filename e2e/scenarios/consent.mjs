// A meeting is recorded: of those who agree, and of nobody before that.

import { execFile } from 'node:child_process';
import { readdirSync, watch } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openChromium } from '../lib/browsers.mjs';
import { enter, lobby } from '../lib/meeting.mjs';
import { member } from '../lib/members.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { bearer, startServer, token } from '../lib/server.mjs';

const run = promisify(execFile);

/** What ffprobe says of a file, and what ffmpeg has to complain of when it decodes it. */
async function judge(path) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name:format=duration', '-of', 'json', path]);
  const { stderr } = await run('ffmpeg', ['-v', 'warning', '-i', path, '-fps_mode', 'passthrough', '-enc_time_base', '-1', '-f', 'null', '-']);
  const { streams, format } = JSON.parse(stdout);
  return { codecs: streams.map((one) => one.codec_name), seconds: Number(format.duration), complaints: stderr.trim() };
}

/** How strong tones are in the sound of a file, from 0 to 1, in the given seconds of it. */
async function tones(path, frequencies, from, seconds) {
  const args = ['-v', 'error', '-ss', String(from), '-t', String(seconds), '-i', path, '-f', 'f32le', '-ar', '48000', '-ac', '1', '-'];
  const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 1 << 26 });
  const pcm = new Float32Array(stdout.buffer, stdout.byteOffset, stdout.length >> 2);
  return frequencies.map((hertz) => {
    let [re, im] = [0, 0];
    pcm.forEach((sample, n) => {
      re += sample * Math.cos((2 * Math.PI * hertz * n) / 48000);
      im += sample * Math.sin((2 * Math.PI * hertz * n) / 48000);
    });
    return (2 * Math.hypot(re, im)) / pcm.length;
  });
}

scenario('recording: two meet, one declines, and one comes later', { seconds: 120, beside: true }, async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'althing-data-'));
  t.defer(() => rm(data, { recursive: true, force: true }));
  const server = await startServer(t, { flags: ['--data', data] });
  const asks = (identity, grant) => (path, method, body) =>
    fetch(`${server.base}/recordings/hall${path}`, {
      method,
      headers: { ...bearer(token({ room: 'hall', identity, grant })), ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
  const [ada, ben, cleo] = [asks('ada', { roomRecord: true }), asks('ben'), asks('cleo')];
  check((await ada('', 'POST')).status === 404, 'an empty room is recorded');
  const stranger = await fetch(`${server.base}/recordings/hall`, { method: 'POST', headers: bearer('nonsense') });
  check(stranger.status === 401 && /not a JSON web token/.test(await stranger.text()), 'a bad token is not told');
  const browser = await openChromium(t);
  const pages = {};
  for (const name of ['ada', 'ben']) {
    pages[name] = await member(t, browser, server, 'hall', name);
    await pages[name].run(() => me.publish());
  }
  // Who declines makes a sound all the time.
  await pages.ben.run(async () => {
    await me.unpublish({ source: 'microphone' });
    await me.sound({ tone: 700 });
  });
  await pages.ada.sees('ben');
  // From before the question on, each name that appears in the folder is noted, however short it is there.
  const recordings = join(data, 'recordings');
  await mkdir(recordings, { recursive: true });
  const [seen, eyes] = [new Set(), []];
  eyes.push(watch(recordings, (_, name) => {
    if (eyes.length > 1) return;
    eyes.push(watch(join(recordings, name), (_, file) => seen.add(file)));
    for (const file of readdirSync(join(recordings, name))) seen.add(file);
  }));
  t.defer(() => eyes.forEach((eye) => eye.close()));
  const isMedia = (name) => /\.(webm|mkv|mp4|m4s|ogg)$/.test(name);
  check((await ben('', 'POST')).status === 403, 'somebody without the right begins a recording');
  check((await ada('', 'POST')).status === 201, 'it cannot begin');
  check((await ada('', 'POST')).status === 409, 'it begins twice');
  const [folder] = await readdir(join(data, 'recordings'));
  const media = async () => (await readdir(join(data, 'recordings', folder))).filter(isMedia);
  // The list of recordings, for who may record.
  const list = (query, grant) => fetch(`${server.base}/recordings?${query}`, { headers: bearer(token({ room: 'hall', identity: 'ada', grant })) });
  const listed = async () => (await (await list('room=hall', { roomRecord: true })).json()).recordings[0];
  check((await list('room=hall')).status === 403 && (await list('room=other', { roomRecord: true })).status === 403, 'everybody may list');
  check((await list('', { roomRecord: true })).status === 403, 'who may record a room may list them all');
  check((await listed()).state === 'asking', `listed as ${JSON.stringify(await listed())}`);
  // All see that it asks, and nothing is written meanwhile.
  const state = (page) => page.run(() => me.room.remoteParticipants.get('recorder')?.attributes['althing.recording']);
  await until('ben is asked', async () => (await state(pages.ben)) === 'asks');
  await sleep(2000);
  const early = [...seen].filter(isMedia);
  check(early.length === 0 && (await media()).length === 0, `before anybody agreed there was ${early} and is ${await media()}`);
  check(seen.has('events.jsonl'), `what is written is not seen: ${[...seen]}`);
  check((await ben('/answer', 'POST', { agrees: false })).status === 202, 'an answer is refused');
  await until('it runs', async () => (await state(pages.ben)) === 'running');
  // The same eye sees them when they may be there.
  await until('media are seen', () => [...seen].some(isMedia));
  await until('it is listed as running', async () => (await listed()).state === 'recording');
  pages.cleo = await member(t, browser, server, 'hall', 'cleo');
  await pages.cleo.run(() => me.sound({ tone: 1000 }));
  await sleep(1500);
  const { people } = await (await ben('', 'GET')).json();
  check(people.ada && !people.ben && people.cleo === false, `recorded are ${JSON.stringify(people)}`);
  await cleo('/answer', 'POST', { agrees: true });
  for (const name of ['ben', 'cleo']) await pages[name].run((name) => me.room.localParticipant.sendText(`${name} writes`, { topic: 'lk.chat' }), name);
  await pages.cleo.run(() => me.room.localParticipant.sendText('to ada alone', { topic: 'lk.chat', destinationIdentities: ['ada'] }));
  check((await ben('/chapters', 'POST', { title: 'mine' })).status === 403, 'somebody without the right marks a place');
  check((await ada('/chapters', 'POST', { title: 'The budget' })).status === 202, 'a place cannot be marked');
  await sleep(3500);
  // When something is missing: whether a browser did not send it, or the recorder lost it.
  for (const [name, page] of Object.entries(pages)) t.note(`${name} sent ${JSON.stringify(await page.run(() => me.sent()))}`);
  check((await ada('', 'DELETE')).status === 202, 'it cannot be ended');
  await until('it is over', async () => (await ada('', 'GET')).status === 404);

  const manifest = JSON.parse(await readFile(join(data, 'recordings', folder, 'manifest.json'), 'utf8'));
  const all = await list('limit=1', { roomRecord: true, roomList: true });
  const row = (await all.json()).recordings[0];
  check(row.name === folder && row.state === 'ready' && row.bytes > 10_000, `listed as ${JSON.stringify(row)}`);
  check(['ada', 'ben', 'cleo'].every((who) => row.people.includes(who)), `listed are ${row.people}`);
  const name = new Map(manifest.people.map((one) => [one.person ?? one.id, one.identity]));
  const files = manifest.tracks.flatMap((track) => track.files.map((file) => ({ ...file, who: name.get(track.person) })));
  t.note(JSON.stringify(manifest));
  t.note(await readFile(join(data, 'recordings', folder, 'events.jsonl'), 'utf8'));
  check(files.length > 0 && files.every((file) => file.who !== 'ben'), `files are of ${files.map((file) => file.who)}`);
  for (const who of ['ada', 'cleo']) check(files.some((file) => file.who === who), `nothing of ${who}`);
  check(files.filter((file) => file.who === 'ada').length >= 2, `of ada there is ${JSON.stringify(manifest.tracks)}`);
  check(files.length + manifest.mix.length === row.files, `${row.files} files are listed`);
  check(manifest.mix.length === 1, `of the mix there is ${JSON.stringify(manifest.mix)}`);
  files.push({ ...manifest.mix[0], who: 'all' });
  check(files.length === (await media()).length, `on the disk are ${await media()}`);
  const of = (name) => files.find((file) => file.who === name);
  const sound = manifest.tracks.find((track) => name.get(track.person) === 'cleo').files[0];
  // Two seconds of Cleo, and none of Ben.
  const [declined, agreed] = await tones(join(data, 'recordings', folder, 'mix.ogg'), [700, 1000], (sound.from - of('all').from) / 1e9 + 0.5, 2);
  check(agreed > 0.02 && declined < agreed / 100, `in the mix are ${agreed} of who agreed and ${declined} of who did not`);
  t.measured('decliner in the mix, dB', 20 * Math.log10(declined / agreed));
  check(manifest.chat.map((one) => `${name.get(one.person)}: ${one.text}`).join() === 'cleo: cleo writes', `the chat is ${JSON.stringify(manifest.chat)}`);
  check(manifest.chapters.map((one) => one.value).join() === 'The budget', `the chapters are ${JSON.stringify(manifest.chapters)}`);
  for (const file of files) {
    const { codecs, seconds, complaints } = await judge(join(data, 'recordings', folder, file.file ?? file.name));
    check(complaints === '', `${file.file ?? file.name}: ${complaints}`);
    check(seconds > (file.who === 'cleo' ? 2 : 4), `${file.file ?? file.name} is ${seconds} s long`);
    t.measured(`${file.who} ${codecs}`, seconds);
  }
  // Who leads deletes it.
  const admin = asks('admin', { roomAdmin: true });
  check((await ada(`/${folder}`, 'DELETE')).status === 403 && (await admin(`/${folder}`, 'DELETE')).status === 204, 'it cannot be deleted');
  check((await listed()).state === 'deleted' && (await media()).length === 0, `of it is left ${await media()}`);
});

scenario('recording: asked for and answered on the page', { seconds: 120, beside: true }, async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'althing-data-'));
  t.defer(() => rm(data, { recursive: true, force: true }));
  const server = await startServer(t, { flags: ['--data', data] });
  const viewer = await openChromium(t);
  const [anna, björn] = [await enter(viewer, server, { name: 'Anna' }), await enter(await openChromium(t), server, { name: 'Björn' })];
  await anna.sees('Björn');
  await anna.press('#record');
  await until('Björn is asked', () => björn.there('#consent'));
  check(!(await anna.there('#consent')), 'who asks for a recording is asked');
  await anna.told('#recording', /Asking/);
  check((await anna.tiles()).length === 2 && (await anna.text('#count')) === '2 people', 'the recorder is taken for a person');
  await björn.press('#consent [value=decline]');
  await anna.told('#recording', /^Recording$/);
  await björn.told('#recording', /without you/);
  // Minds may be changed.
  await björn.press('#recording');
  await björn.press('#consent [value=agree]');
  await björn.told('#recording', /^Recording$/);
  await anna.press('#mark');
  await anna.write('chapter-name', 'Any other business');
  await anna.press('#chapter [value=mark]');
  await sleep(3000);
  await anna.press('#record');
  await until('it is over', async () => !(await björn.there('#recording')));
  await anna.told('#banner', /is over.*Watch it/);
  const [folder] = await readdir(join(data, 'recordings'));
  const manifest = JSON.parse(await readFile(join(data, 'recordings', folder, 'manifest.json'), 'utf8'));
  const people = new Set(manifest.tracks.filter((track) => track.files.length > 0).map((track) => track.person));
  check(manifest.complete && people.size === 2, `recorded are ${people.size} people`);
  // And it plays.
  const list = await lobby(viewer, server, '/watch#room=hall');
  await until('the list', () => list.run(() => Boolean(document.querySelector('.recording a[href]'))));
  await list.press('.recording a');
  await until('the player', () => list.run(() => document.getElementById('play')?.checkVisibility() && document.getElementById('bar').max > 2).catch(() => false)); // the page is loaded again
  await list.press('#layout');
  await list.press('#play');
  await until('both are seen and heard', () => list.run(() =>
    ['.tile video', '#sounds audio'].every((players) => [...document.querySelectorAll(players)].filter((one) => one.currentTime > 0.8 && !one.error).length === 2)));
  check(manifest.chapters[0]?.value === 'Any other business', `the chapters are ${JSON.stringify(manifest.chapters)}`);
});

scenario('recording: an audience watches while it is made', { seconds: 60, beside: true }, async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'althing-data-'));
  t.defer(() => rm(data, { recursive: true, force: true }));
  const config = join(data, 'althing.toml');
  await writeFile(config, '[recording]\nlive = true\nsegment_minutes = 60\n');
  const server = await startServer(t, { flags: ['--data', data, '--config', config] });
  // The client has no wish of its own, and sends what MP4 can hold.
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.clock());
  await ada.run(() => me.sound({ tone: 440 }));
  const headers = bearer(token({ room: 'hall', identity: 'ada', grant: { roomRecord: true } }));
  const ask = (method) => fetch(`${server.base}/recordings/hall`, { method, headers });
  check((await ask('POST')).status === 201, 'it cannot begin');
  const live = `${server.base}/recordings/hall/live/live.m3u8`;
  const address = (room, file = 'live.m3u8', query = '') => `${server.base}/recordings/hall/live/${file}?access_token=${token({ room, identity: 'watcher' })}${query}`;
  const watch = (room, file, range, query) => fetch(address(room, file, query), { headers: range ? { range } : {} });
  let playlist;
  await until('there is something to watch', async () => {
    const answer = await watch('hall');
    playlist = answer.ok ? await answer.text() : '';
    return /#EXTINF:[3-9]/.test(playlist);
  }, 15_000, 200);
  // A player by others plays it. It waits for each part in a request.
  const watcher = await browser.page(`${server.base}/healthz`);
  await watcher.run(async ({ scripts, url }) => {
    const [{ default: Hls }, { Audience }] = await Promise.all(['hls.mjs', 'audience.js'].map((name) => import(`${scripts}/${name}`)));
    window.audience = new Audience(Hls, url);
  }, { scripts: t.scripts, url: address('hall') });
  const look = () => watcher.run(() => audience.look());
  check(/#EXT-X-MAP:URI="live-\d+\.mp4\?access_token=/.test(playlist) && !/ENDLIST/.test(playlist), playlist);
  check((await watch('yard')).status === 403 && (await fetch(live)).status === 401, 'everybody may watch');
  check((await watch('hall', 'events.jsonl')).status === 404, 'the log is shown');
  const [, file, bytes, at] = /#EXT-X-MAP:URI="([^?"]+)[^"]*",BYTERANGE="(\d+)@(\d+)"/.exec(playlist);
  const map = await watch('hall', file, `bytes=${at}-${Number(at) + Number(bytes) - 1}`);
  check(map.status === 206 && /ftyp/.test(await map.text()), `the beginning gives ${map.status}`);
  for (const [query, status] of [['_HLS_msn=x', 400], ['_HLS_part=1', 400], ['_HLS_msn=1000', 400], ['_HLS_msn=0&_HLS_part=0', 200]]) {
    check((await watch('hall', undefined, undefined, `&${query}`)).status === status, `${query} does not give ${status}`);
  }
  // The bytes that are hinted at come when they are there.
  const [, growing, hinted] = /#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^?"]+)[^"]*",BYTERANGE-START=(\d+)/.exec(await (await watch('hall')).text());
  const next = await watch('hall', growing, `bytes=${hinted}-`);
  check(next.status === 206 && (await next.text()).slice(4, 8) === 'moof', `what is hinted at gives ${next.status}`);
  const ages = [];
  await until('it plays', async () => {
    const { at, width, age, blocking } = await look();
    if (at > 1 && width > 0) ages.push(age);
    return ages.length >= 10 && blocking > 5;
  }, 20_000, 100).catch(async (error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await look())}`);
  });
  const seen = await look();
  check(!seen.problems.some((one) => /fatal/.test(one)), seen.problems.join());
  t.note(JSON.stringify(seen));
  t.measured('seconds behind', ages.sort((a, b) => a - b)[ages.length >> 1] / 1000);
  // Who waits is told of the end.
  const last = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(playlist)[1]) + (await (await watch('hall')).text()).split('#EXTINF').length;
  const end = watch('hall', undefined, undefined, `&_HLS_msn=${last}`);
  check((await ask('DELETE')).status === 202, 'it cannot be ended');
  await until('it is over', async () => (await ask('GET')).status === 404);
  check(/#EXT-X-PLAYLIST-TYPE:VOD[^]*#EXT-X-ENDLIST/.test(await (await end).text()), 'who waits is not told of the end');
  check(/#EXT-X-PLAYLIST-TYPE:VOD[^]*#EXT-X-ENDLIST/.test(await (await watch('hall')).text()), 'it has no end');
  const [folder] = await readdir(join(data, 'recordings'));
  // A file for each size of the picture.
  const files = (await readdir(join(data, 'recordings', folder))).filter((name) => /^live-\d+\.mp4$/.test(name));
  let length = 0;
  for (const file of files) {
    const { codecs, seconds, complaints } = await judge(join(data, 'recordings', folder, file));
    // Who has a picture with all values of a byte is told that it should be called otherwise by now.
    const serious = complaints.split('\n').filter((line) => !/deprecated pixel format/.test(line)).join();
    check(codecs.join() === 'h264,opus' && serious === '', `${file} is ${codecs}: ${serious}`);
    length += seconds;
  }
  t.measured('seconds', length);
  check(length > 3, `it is ${length} s long`);
});
