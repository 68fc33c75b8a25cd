// What the page says and does when something is wrong: no camera, a lost server, a full room, somebody sent away.

import { RoomServiceClient } from 'livekit-server-sdk';
import { openChromium } from '../lib/browsers.mjs';
import { enter, inside, lobby } from '../lib/meeting.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';

scenario('page: the server comes back after a restart', { seconds: 120, beside: true }, async (t) => {
  const flags = ['--udp-port', '0'];
  const first = await startServer(t, { flags });
  const { port } = new URL(first.base);
  const anna = await enter(await openChromium(t), first, { name: 'Anna' });
  const björn = await enter(await openChromium(t), first, { name: 'Björn' });
  await anna.sees('Björn');
  await first.stop();
  await anna.told('#banner', /connection is lost/);
  await startServer(t, { flags: [...flags, '--listen', `127.0.0.1:${port}`] });
  const start = performance.now();
  await until('the trouble is over', async () => (await anna.text('#banner')) === '', 30_000);
  await anna.sees('Björn');
  await björn.sees('Anna');
  t.measured('back after ms', Math.round(performance.now() - start));
  await anna.hears();
});

scenario('page: sent away, replaced, ended, full', { seconds: 120, beside: true }, async (t) => {
  const server = await startServer(t);
  const service = new RoomServiceClient(server.base, 'devkey', 'secret');
  const browser = await openChromium(t);
  const invited = (identity) => `/#token=${token({ room: 'hall', identity, name: identity })}`;
  await service.createRoom({ name: 'hall', maxParticipants: 2 });
  const anna = await enter(browser, server, { address: invited('anna') });
  const ben = await enter(await openChromium(t), server, { address: invited('ben') });
  await anna.sees('ben');

  const third = await lobby(browser, server, invited('cleo'));
  await third.press('#enter');
  await third.told('#problem', /room is full/);
  await third.close();

  await service.removeParticipant('hall', 'ben');
  await ben.told('#problem', /removed you from the room/);
  check(await ben.there('#lobby'), 'who was sent away is not in the lobby');
  await ben.press('#enter');
  await inside(ben);
  await anna.sees('ben');

  const twin = await enter(browser, server, { address: invited('anna') });
  await anna.told('#problem', /from another window/);
  await ben.sees('anna');

  const publication = (await service.getParticipant('hall', 'anna')).tracks.find((track) => track.source === 2);
  await service.mutePublishedTrack('hall', 'anna', publication.sid, true);
  await twin.told('#banner', /switched off from outside/);
  await ben.sees('anna', (tile) => tile.muted);

  await service.deleteRoom('hall');
  await ben.told('#problem', /ended for everybody/);
  await twin.told('#problem', /ended for everybody/);
});

scenario('page: without camera and microphone', { seconds: 60, beside: true }, async (t) => {
  const server = await startServer(t);
  const denied = await openChromium(t, { permissions: [] });
  const page = await lobby(denied, server, '/#room=hall');
  await page.told('#problem', /Microphone: The browser may not use it.*Camera: The browser may not use it/);
  check(!(await page.pressed('#lobby [data-device=video]')), 'the button says that the camera is on');
  await page.write('name', 'Dora');
  await page.press('#enter');
  await until('the call', () => page.there('#call'), 15_000);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  await page.sees('Anna');
  await anna.sees('Dora', (tile) => !tile.picture && tile.muted);
  await page.press('#controls [data-device=video]');
  await page.told('#banner', /Camera: The browser may not use it/);
});

scenario('page: nobody answers', { seconds: 60, beside: true }, async (t) => {
  const server = await startServer(t);
  const page = await lobby(await openChromium(t), server, '/#room=hall');
  await page.run(() => import('/vendor/livekit-client.esm.mjs'));
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  await server.stop();
  await anna.told('#banner', /connection is lost/);
  await anna.press('#leave');
  await until('who leaves a lost room is in the lobby', () => anna.there('#lobby'));
  await page.write('name', 'Björn');
  await page.press('#enter');
  await page.told('#problem', /server cannot be reached/, 30_000);
  check(!(await page.run(() => document.getElementById('enter').disabled)), 'one cannot try again');
});
