// Meetings by the unmodified client SDK for browsers: everybody joins, publishes, sees and hears the others.

import WebSocket from 'ws';
import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { openCrowd } from '../lib/crowd.mjs';
import { member } from '../lib/members.mjs';
import { publish, watch } from '../lib/people.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { startOpenServer, startServer, startServerWith, token } from '../lib/server.mjs';

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

scenario('sdk: who spoke last is seen, and the loudest is heard', { seconds: 90, beside: true }, async (t) => {
  const server = await startServerWith(t, '[room]\nlast_n = 2\nloudest_audio = 1\n');
  const crowd = await openCrowd(t, server, 'hall');
  await crowd.add(4, true);
  const zoe = await member(t, await openChromium(t), server, 'hall', 'zoe');
  const look = () => Promise.all([0, 1, 2, 3].map(async (index) => {
    const [picture, sound] = await Promise.all(['camera', 'microphone'].map((source) => zoe.inbound(`person-${index}`, source)));
    return { frames: picture.frames, packets: sound.packets };
  }));
  for (const [speaker, seen] of [[0, undefined], [2, [0, 2]], [3, [2, 3]]]) {
    await crowd.speak(speaker);
    const before = await look();
    await until(`${speaker} is seen and heard`, async () => {
      const { frames, packets } = (await look())[speaker];
      return frames > before[speaker].frames + 3 && packets > before[speaker].packets + 20;
    }, 15_000);
    await sleep(1000);
    const start = await look();
    await sleep(2000);
    const end = await look();
    const more = end.map(({ frames, packets }, index) => [frames - start[index].frames, packets - start[index].packets]);
    t.note(`${speaker} speaks: ${JSON.stringify(more)}`);
    const those = (kind, least) => [0, 1, 2, 3].filter((index) => more[index][kind] > least);
    check(`${those(1, 5)}` === `${speaker}`, `${speaker} speaks, and ${those(1, 5)} are heard: ${JSON.stringify(more)}`);
    check(!seen || `${those(0, 1)}` === `${seen}`, `${speaker} speaks, and ${those(0, 1)} are seen: ${JSON.stringify(more)}`);
  }
});

scenario('sdk: data, speakers, quality, metadata', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada', { grant: { canUpdateOwnMetadata: true } });
  const ben = await member(t, browser, server, 'hall', 'ben');
  const cleo = await member(t, browser, server, 'hall', 'cleo');

  const start = performance.now();
  await ada.run(() => me.room.localParticipant.publishData(new TextEncoder().encode('to all'), { reliable: true, topic: 'news' }));
  await ada.run(() => me.room.localParticipant.publishData(new TextEncoder().encode('to ben'), { reliable: true, destinationIdentities: ['ben'] }));
  const got = async (page) => (await page.events('DataReceived')).map((one) => `${one.identity}: ${one.text}`).join();
  await until('ben has both', async () => (await got(ben)) === 'ada: to all,ada: to ben');
  t.measured('data ms', Math.round(performance.now() - start));
  await until('cleo has one', async () => (await got(cleo)) === 'ada: to all');
  check((await got(ada)) === '', 'the sender got its own data');
  await ada.run(() => me.room.localParticipant.publishData(new TextEncoder().encode('in haste'), { reliable: false }));
  await until('the lossy one comes', async () => /in haste/.test(await got(cleo)));

  const text = 'a long text '.repeat(8000);
  await ben.run((text) => me.room.localParticipant.sendText(text, { topic: 'chat' }), text);
  await until('the text comes whole', async () => (await ada.events('Text')).some((one) => one.identity === 'ben' && one.text === text));
  const sum = await cleo.run(() => me.room.localParticipant.performRpc({ destinationIdentity: 'ada', method: 'add', payload: '[1,2,3]' }));
  check(sum === 'cleo 6', `the call gave ${sum}`);

  await ada.run(() => me.room.localParticipant.setMetadata('changed'));
  await until('ben is told', async () => (await ben.events('ParticipantMetadataChanged')).some((one) => one.metadata === 'changed'));
  const refused = await ben.run(() => me.room.localParticipant.setMetadata('no').then(() => '', (error) => error.message));
  check(refused, 'ben has changed metadata without the right');

  await ada.run(() => me.publish({ tone: true }));
  await until('ada speaks', async () => (await ben.events('ActiveSpeakersChanged')).some((one) => one.speakers.join() === 'ada'));
  await ada.run(() => me.room.localParticipant.setMicrophoneEnabled(false));
  await until('ada is silent', async () => (await ben.events('ActiveSpeakersChanged')).at(-1).speakers.length === 0);
  await until('qualities are told', async () => (await ben.events('ConnectionQualityChanged')).some((one) => one.identity === 'ada' && one.quality === 'excellent'), 12_000);
});

scenario('sdk: nobody sends what nobody wants', { seconds: 120, beside: true }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const options = { dynacast: true, adaptiveStream: false };
  const ada = await member(t, browser, server, 'hall', 'ada', { options });
  await ada.run(() => me.publish());
  const active = async () => (await ada.run(() => me.outbound())).filter((one) => one.active).map((one) => one.rid).sort().join('');
  await until('only the lowest encoding is sent', async () => (await active()) === 'q', 20_000, 250);
  const ben = await member(t, browser, server, 'hall', 'ben');
  await until('all are sent', async () => (await active()) === 'fhq', 10_000, 100);
  await ben.sees('ada');
  await ben.run(() => me.room.remoteParticipants.get('ada').getTrackPublication('camera').setVideoQuality(1));
  await until('the highest is no longer sent', async () => (await active()) === 'hq', 20_000, 250);
  await ben.run(() => me.room.remoteParticipants.get('ada').getTrackPublication('camera').setEnabled(false));
  await until('only the lowest is sent', async () => (await active()) === 'q', 20_000, 250);
  await ben.run(() => me.room.remoteParticipants.get('ada').getTrackPublication('camera').setEnabled(true));
  const before = (await ben.inbound('ada')).frames;
  await until('the picture comes back', async () => (await ben.inbound('ada')).frames > before + 10);
});

scenario('sdk: accidents', { seconds: 300, beside: true }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben');
  await ben.run(() => me.publish());
  await ada.sees('ben');
  await ben.sees('ada');
  const goesOn = async (what) => {
    for (const [page, other] of [[ada, 'ben'], [ben, 'ada']]) {
      const before = (await page.inbound(other)).frames;
      await until(`${what}: the picture of ${other} goes on`, async () => {
        await page.run((other) => me.show(other), other);
        const { frames } = await page.inbound(other);
        return frames > 5 && frames !== before;
      }, 20_000, 200);
    }
  };
  // After the first ones the client itself or the server says that it must come back; the last ones change nothing.
  const accidents = ['signal-reconnect', 'resume-reconnect', 'full-reconnect', 'disconnect-signal-on-resume', 'disconnect-signal-on-resume-no-messages',
    'leave-full-reconnect', 'node-failure', 'migration', 'force-tcp', 'force-tls'];
  for (const scenario of accidents) {
    const start = performance.now();
    const count = (await ada.events('Reconnected')).length;
    await ada.ask('simulate', { scenario });
    await until(`${scenario}: reconnected`, async () => (await ada.events('Reconnected')).length > count, 30_000);
    const back = Math.round(performance.now() - start);
    await goesOn(scenario);
    t.measured(scenario, `${back} ms, pictures ${Math.round(performance.now() - start)} ms`);
    check((await ada.events('Disconnected')).length === 0, `${scenario}: disconnected`);
    // The client says that it is back, and takes what happens in the next two seconds for a failure to come back.
    await until('the client is at rest', () => ada.run(() => !me.room.engine.attemptingReconnect));
  }
  const fresh = (await ada.events('Reconnecting')).length;
  await ada.run(() => me.room.simulateScenario('subscriber-bandwidth', 100_000));
  await ada.run(() => me.room.simulateScenario('subscriber-bandwidth', 0));
  await ada.ask('simulate', { scenario: 'speaker' });
  await until('ada is said to speak', async () => (await ben.events('ActiveSpeakersChanged')).some((one) => one.speakers.includes('ada')), 5_000);
  await until('ada is silent again', async () => !(await ben.events('ActiveSpeakersChanged')).at(-1).speakers.includes('ada'), 10_000);
  await goesOn('speaker');
  check((await ada.events('Reconnecting')).length === fresh, 'reconnects without need');
  // Who comes with the same name takes the place of the one who was there.
  const twin = await member(t, browser, server, 'hall', 'ada');
  await until('the first one is sent away', async () => (await ada.events('Disconnected')).length === 1);
  check((await ada.events('Disconnected'))[0].reason === 2, 'not for the duplicate identity');
  await twin.run(() => me.publish());
  await ben.sees('ada');
  await twin.ask('simulate', { scenario: 'server-leave' });
  await until('the server sends ada away', async () => (await twin.events('Disconnected')).some((one) => one.reason === 3));
  await until('ben is alone', async () => (await ben.roster()).length === 0);
});

scenario('sdk: chromium and firefox', { seconds: 180 }, async (t) => {
  // Firefox does not always use the loopback address.
  const server = await startOpenServer(t);
  check(server, 'the machine has no network address');
  const ada = await member(t, await openChromium(t), server, 'hall', 'ada');
  const finn = await member(t, await openFirefox(t), server, 'hall', 'finn');
  await ada.run(() => me.publish());
  await finn.sees('ada');
  await finn.hears('ada');
  await finn.run(() => me.publish({ width: 640, height: 480 }));
  await ada.sees('finn');
  await ada.hears('finn');
  await finn.run(() => me.room.localParticipant.publishData(new TextEncoder().encode('hello'), { reliable: true }));
  await until('the data comes', async () => (await ada.events('DataReceived')).some((one) => one.text === 'hello'));
  await finn.run(() => me.room.simulateScenario('resume-reconnect'));
  await until('finn is back', async () => (await finn.events('Reconnected')).length === 1, 30_000);
  const before = (await ada.inbound('finn')).frames;
  await until('the picture goes on', async () => (await ada.inbound('finn')).frames > before + 5);
});

scenario('sdk: nonsense and floods disturb nobody', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben');
  await ben.sees('ada');

  const validate = async (path, query) => (await fetch(`${server.base}${path}?${query}`)).status;
  const good = token({ room: 'hall', identity: 'eve' });
  check((await validate('/rtc/v1/validate', 'join_request=')) === 401, 'no token');
  check((await validate('/rtc/v1/validate', `access_token=${good}x&join_request=`)) === 401, 'a bad token');
  check((await validate('/rtc/v1/validate', `access_token=${token({ room: 'hall', identity: 'eve', grant: { roomJoin: false } })}&join_request=`)) === 401, 'no right');
  check((await validate('/rtc/v1/validate', `access_token=${good}&join_request=!`)) === 400, 'no join request');
  check((await validate('/rtc/v1/validate', `access_token=${good}&join_request=`)) === 200, 'all is good');
  check((await validate('/rtc/validate', `access_token=${good}`)) === 200, 'all is good for two connections');
  check((await fetch(server.base, { method: 'HEAD' })).headers.get('access-control-allow-origin') === '*', 'HEAD has no CORS');

  const open = (identity) => new Promise((done, fail) => {
    const socket = new WebSocket(`${server.base.replace('http', 'ws')}/rtc/v1?access_token=${token({ room: 'hall', identity })}&join_request=`);
    socket.binaryType = 'arraybuffer';
    socket.closed = new Promise((closed) => socket.addEventListener('close', closed));
    socket.addEventListener('message', () => done(socket), { once: true });
    socket.addEventListener('error', fail);
  });
  const garbage = await open('garbage');
  garbage.send(new Uint8Array(100).fill(255));
  const end = await garbage.closed;
  check(end.wasClean && end.code === 1000, `closed with ${end.code}`);
  const large = await open('large');
  large.send(new Uint8Array(3 * 1024 * 1024));
  await large.closed;
  // Pings by the thousand, from somebody who reads none of the answers in time; and many who do nothing.
  const flood = await open('flood');
  const ping = new Uint8Array([0x82, 0x01, 0x02, 0x08, 0x01]);
  for (let i = 0; i < 20_000; i += 1) flood.send(ping);
  const idle = await Promise.all(Array.from({ length: 100 }, (_, index) => open(`idle-${index}`)));
  const before = (await ben.inbound('ada')).frames;
  await until('the picture goes on', async () => (await ben.inbound('ada')).frames > before + 30, 5_000);
  const start = performance.now();
  await ben.run(() => me.room.localParticipant.publishData(new TextEncoder().encode('still here'), { reliable: true }));
  await until('data comes', async () => (await ada.events('DataReceived')).some((one) => one.text === 'still here'), 5_000);
  t.measured('data ms', Math.round(performance.now() - start));
  flood.close();
  idle.forEach((one) => one.close());
  await until('only the two are left', async () => (await ben.roster()).map((one) => one.identity).join() === 'ada', 30_000);
});

scenario('sdk: how long it takes to join', { seconds: 180 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben');
  await ben.sees('ada');
  const joins = Number(process.env.ALTHING_JOINS ?? 10);
  const times = await ben.run(async ({ base, token, joins }) => {
    await me.room.disconnect();
    const times = [];
    for (let i = 0; i < joins; i += 1) {
      const room = new me.sdk.Room();
      const start = performance.now();
      const shown = new Promise((done) => room.on('trackSubscribed', (track) => {
        if (track.kind !== 'video') return;
        const video = track.attach();
        video.muted = true;
        document.body.append(video);
        video.requestVideoFrameCallback(() => done(performance.now() - start));
      }));
      await room.connect(base.replace('http', 'ws'), token);
      times.push(await shown);
      await room.disconnect();
    }
    return times.sort((a, b) => a - b);
  }, { base: server.base, token: token({ room: 'hall', identity: 'ben' }), joins });
  t.measured('first picture p50 ms', Math.round(times[Math.floor(times.length * 0.5)]));
  t.measured('first picture p95 ms', Math.round(times[Math.floor(times.length * 0.95)]));
  check(times[Math.floor(times.length * 0.5)] < 5000, 'half of the joins take more than 5 s');
});

scenario('sdk: encrypted end to end', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada', { key: 'secret of two' });
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben', { key: 'secret of two' });
  await ben.sees('ada');
  await ben.hears('ada');
  check(await ben.run(() => me.room.remoteParticipants.get('ada').isEncrypted), 'not said to be encrypted');
  // Who does not know the secret sees nothing: it is really encrypted.
  const eve = await member(t, browser, server, 'hall', 'eve', { key: 'another secret' });
  await until('eve gets packets', async () => (await eve.inbound('ada')).packets > 50);
  check((await eve.inbound('ada')).frames === 0, 'eve sees the picture');
  await ada.run(() => me.room.localParticipant.sendText('in private', { topic: 'chat' }));
  await until('the text comes', async () => (await ben.events('Text')).some((one) => one.text === 'in private'));
});

for (const codec of ['vp9', 'av1']) {
  scenario(`sdk: layers inside one stream, ${codec}`, { seconds: 120, beside: true }, async (t) => {
    const server = await startServer(t);
    const browser = await openChromium(t);
    const ada = await member(t, browser, server, 'hall', 'ada');
    const size = { width: 1280, height: 720 };
    await ada.ask('picture', { colour: [30, 30, 200], codec, fps: 10, ...size });
    const ben = await member(t, browser, server, 'hall', 'ben');
    const widths = [];
    const shows = async (wanted) => {
      await ben.sees('ada');
      const before = (await ben.inbound('ada')).frames;
      await until(`a picture ${wanted} wide`, async () => {
        const { frames, width } = await ben.inbound('ada');
        widths.push(width);
        return frames > before + 5 && width === wanted;
      }, 30_000, 200);
    };
    await shows(1280);
    for (const [quality, width] of [[0, 320], [1, 640], [2, 1280]]) {
      await ben.ask('quality', { identity: 'ada', quality });
      await shows(width);
    }
    const [encoding, ...more] = await ada.ask('encodings');
    check(more.length === 0, `sends ${JSON.stringify([encoding, ...more])}`);
  });
}
