// The page in company: with somebody else's page in the same room, and in a room with more people than fit on the screen.

import { openChromium } from '../lib/browsers.mjs';
import { openCrowd } from '../lib/crowd.mjs';
import { bundle, serveFiles } from '../lib/files.mjs';
import { enter, inside, lobby } from '../lib/meeting.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';

scenario('page: with somebody on the page of the React components', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  await bundle('react.js');
  const files = await serveFiles(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  const query = new URLSearchParams({ url: server.base.replace('http', 'ws'), token: token({ room: 'hall', identity: 'ben', name: 'Ben' }) });
  const ben = await (await openChromium(t)).page(`${files}/?${query}`);
  await ben.raw.addStyleTag({ url: '/react.bundle.css' });
  await ben.run(() => import('/react.bundle.js'));
  await anna.sees('Ben');
  await anna.hears();
  await until('Ben sees Anna', () => ben.run(() => [...document.querySelectorAll('.lk-participant-tile[data-lk-local-participant="false"] video')]
    .some((video) => video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 5)), 20_000);
  await ben.raw.click('.lk-chat-toggle');
  await anna.press('#controls [data-panel=chat]');
  await anna.raw.keyboard.type('hello Ben');
  await anna.key('Enter');
  await ben.raw.waitForSelector('.lk-chat-entry:has-text("hello Ben")', { timeout: 10_000 });
  await ben.raw.fill('.lk-chat-form-input', 'hello Anna');
  await ben.raw.press('.lk-chat-form-input', 'Enter');
  await until('the answer', () => anna.run(() => [...document.querySelectorAll('.message')].some((one) => /^Ben.*hello Anna$/s.test(one.textContent.trim()))));
  check((await anna.run(() => document.querySelectorAll('.message').length)) === 2, 'a message came twice');
});

scenario('page: receives only the pictures that are on the screen', { seconds: 150 }, async (t) => {
  const server = await startServer(t);
  const crowd = await openCrowd(t, server, 'hall');
  await crowd.add(20);
  const anna = await lobby(await openChromium(t, { viewport: { width: 390, height: 844 } }), server, '/#room=hall');
  // Beside the SDK: the connections that it makes are written down.
  await anna.run(() => {
    window.connections = [];
    const Original = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Original {
      constructor(...args) {
        super(...args);
        window.connections.push(this);
      }
    };
  });
  const received = () => anna.run(() => window.connections.flatMap((one) => one.getTransceivers())
    .filter((one) => one.receiver.track.kind === 'video' && ['recvonly', 'sendrecv'].includes(one.currentDirection)).length);
  await anna.write('name', 'Anna');
  await anna.press('#enter');
  await inside(anna);
  await anna.told('#count', /^21 people$/);
  await anna.told('#page', /^1 of 2$/);
  const names = async () => (await anna.tiles()).map((tile) => tile.name);
  const playing = async () => (await anna.tiles()).filter((tile) => tile.playing && tile.picture).length;
  await until('the pictures of the first page', async () => (await playing()) >= 9, 30_000);
  const first = await names();
  t.measured('pictures of 16 with a camera', await received());
  check((await received()) < 14, `${await received()} pictures are received`);
  await anna.press('#next');
  await until('the second page', async () => (await names()).every((name) => !first.includes(name)));
  await until('its pictures', async () => (await playing()) >= 5, 30_000);
  await until('the pictures of the first page end', async () => (await received()) < 9, 20_000, 200);
  t.measured('on the second page', await received());
  await anna.press('#previous');
  await until('the first page again', async () => (await playing()) >= 9, 30_000);
});
