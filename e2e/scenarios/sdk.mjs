// Meetings by the unmodified client SDK for browsers: everybody joins, publishes, sees and hears the others.

import { openChromium } from '../lib/browsers.mjs';
import { serveFiles } from '../lib/files.mjs';
import { publish, watch } from '../lib/people.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';

/** A page in which somebody has joined the room. */
async function member(t, browser, server, room, identity, { options = {}, grant = {}, ...claims } = {}) {
  t.scripts ??= await serveFiles(t);
  const page = await browser.page(`${server.base}/healthz`);
  page.joined = await page.run(async ({ scripts, base, token, options }) => {
    const sdk = await import(`${scripts}/livekit-client.esm.mjs`);
    const { Member } = await import(`${scripts}/member.js`);
    sdk.setLogLevel('warn');
    window.me = new Member(sdk, options);
    return me.join(base.replace('http', 'ws'), token);
  }, { scripts: t.scripts, base: server.base, token: token({ room, identity, grant, ...claims }), options });
  page.roster = () => page.run(() => me.roster());
  page.events = (name) => page.run((name) => me.events.filter((one) => one.name === name), name);
  page.inbound = (identity, source) => page.run(([identity, source]) => me.inbound(identity, source), [identity, source]);
  page.sees = (identity, source = 'camera') =>
    until(`a picture of ${identity}`, async () => {
      await page.run(([identity, source]) => me.show(identity, source), [identity, source]);
      return (await page.inbound(identity, source)).frames > 5;
    }, 15_000, 200);
  page.hears = (identity) =>
    until(`the sound of ${identity}`, async () => {
      await page.run((identity) => me.listen(identity), identity);
      return (await page.inbound(identity, 'microphone')).energy > 0.0001;
    }, 15_000, 200);
  t.defer(async () => t.note(`${identity}: ${JSON.stringify(await page.run(() => me.events.map((one) => `${one.name} ${one.identity ?? one.reason ?? ''} ${one.source ?? ''}`)))}`));
  return page;
}

scenario('sdk: two join, publish, see, mute, leave', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada', { name: 'Ada', metadata: 'first' });
  t.measured('join ms', Math.round(ada.joined));
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben');
  const [seen] = await ben.roster();
  check(seen?.identity === 'ada' && seen.name === 'Ada' && seen.metadata === 'first', `ben sees ${JSON.stringify(seen)}`);
  await ben.sees('ada');
  await ben.hears('ada');
  // Who comes later is seen by who was there.
  await ben.run(() => me.publish({ simulcast: false }));
  await ada.sees('ben');
  await ada.hears('ben');

  await ada.run(() => me.room.localParticipant.setCameraEnabled(false));
  await until('ben is told of the mute', async () => (await ben.events('TrackMuted')).some((one) => one.source === 'camera'));
  await ada.run(() => me.room.localParticipant.setCameraEnabled(true));
  await until('ben is told of the unmute', async () => (await ben.events('TrackUnmuted')).some((one) => one.source === 'camera'));
  const before = (await ben.inbound('ada')).frames;
  await until('the picture goes on', async () => (await ben.inbound('ada')).frames > before + 10);

  await ada.run(async () => {
    const publication = me.room.localParticipant.getTrackPublication('camera');
    await me.room.localParticipant.unpublishTrack(publication.track);
  });
  await until('ben is told that the camera is gone', async () => (await ben.events('TrackUnpublished')).some((one) => one.source === 'camera'));
  // The section that was freed is used again.
  await ada.run(() => me.room.localParticipant.setCameraEnabled(true));
  await ben.sees('ada');

  await ada.run(() => me.room.disconnect());
  await until('ben is alone', async () => (await ben.roster()).length === 0);
  const room = await server.room('hall');
  check(room.participants.length === 1, `the server has ${JSON.stringify(room)}`);
});

scenario('sdk: with publishers and watchers of the other protocols', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await publish(t, await openChromium(t), server, 'hall', { identity: 'studio' });
  await ada.sees('studio');
  await ada.hears('studio');
  await ada.run(() => me.publish());
  const watcher = await watch(t, await openChromium(t), server, 'hall', { participant: 'ada' });
  const seen = await watcher.observe(3);
  check(seen.decoded > 30, `only ${seen.decoded} frames decoded`);
});
