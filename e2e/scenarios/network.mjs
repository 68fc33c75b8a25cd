// Networks that are not kind: loss and delay, no UDP at all, a change of address.

import { openChromium } from '../lib/browsers.mjs';
import { member } from '../lib/members.mjs';
import { onlyThrough, publish, watch, withoutUdp } from '../lib/people.mjs';
import { freePort, startRelay } from '../lib/relay.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { startServer } from '../lib/server.mjs';
import { demand } from './picture.mjs';

const BAD = ['--loss', '5%', '--delay', '50ms', '--seed', '7'];

/** A server with a known UDP port and a relay before it. */
async function behindRelay(t, weather) {
  const udp = await freePort();
  const server = await startServer(t, { flags: ['--udp-port', String(udp)] });
  const relay = await startRelay(t, udp, weather);
  return { server, relay };
}

scenario('network: 5 % loss and 50 ms each way to the watcher', { seconds: 80 }, async (t) => {
  const { server, relay } = await behindRelay(t, BAD);
  const publisher = await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall', { rewrite: onlyThrough(relay.port) });
  await sleep(2000);
  const seen = await watcher.observe(15);
  demand(t, seen, { gap: 1000, late: 200 });
  t.measured('lost', seen.lost);
  t.measured('nacks', seen.nackCount);
  t.measured('repaired', seen.retransmitted);
  check(seen.nackCount > 0, 'nothing was asked for again: the loss was not there');
  check(seen.retransmitted > 0, 'nothing came again');
  const asked = (await publisher.sending()).map((one) => one.pli + one.fir);
  t.measured('keyframe requests', asked.join('/'));
});

scenario('network: 5 % loss and 50 ms each way from the publisher', { seconds: 80 }, async (t) => {
  const { server, relay } = await behindRelay(t, BAD);
  const publisher = await publish(t, await openChromium(t), server, 'hall', { rewrite: onlyThrough(relay.port) });
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  await sleep(2000);
  const seen = await watcher.observe(15);
  demand(t, seen, { gap: 1000, late: 200 });
  const sent = (await publisher.sending()).filter((one) => one.kind === 'video');
  t.measured('nacks to the publisher', sent.map((one) => one.nack).join('/'));
  check(sent.some((one) => one.nack > 0), 'the server did not ask for what was lost');
});

scenario('network: pictures at 5 % loss and 300 ms round trip come back out of FEC', { seconds: 90, beside: true }, async (t) => {
  const { server, relay } = await behindRelay(t, ['--loss', '5%', '--delay', '150ms', '--seed', '5']);
  await publish(t, await openChromium(t), server, 'hall', { width: 480, height: 270 });
  // Neither can take anything that is sent again: what comes back has come with FEC.
  const far = (without) => ({ rewrite: onlyThrough(relay.port), without, patience: 20_000 });
  const browser = await openChromium(t);
  const naked = await watch(t, browser, server, 'hall', far(['rtx', 'flexfec-03']));
  const protectedOne = await watch(t, browser, server, 'hall', far(['rtx']));
  await until('FEC packets', async () => (await protectedOne.receiving()).fecPackets > 20, 30_000);
  const [bad, good] = await Promise.all([naked.observe(7), protectedOne.observe(7)]);
  t.note(JSON.stringify({ bad, good }));
  t.measured('decoded', `${good.decoded}, without FEC ${bad.decoded}`);
  t.measured('FEC packets', `${good.fecPackets} with ${good.videoPackets} of the picture`);
  t.measured('keyframe requests', `${good.pliCount}, without FEC ${bad.pliCount}`);
  check(bad.fecPackets === 0 && good.fecPackets > 50, `${good.fecPackets} FEC packets have come`);
  check(good.decoded > bad.decoded * 1.2, `${good.decoded} pictures were decoded, ${bad.decoded} without FEC`);
});

scenario('network: 600 kbit/s, 10 % loss and 100 ms to one watcher, a clean line to the other', { seconds: 120 }, async (t) => {
  const weather = ['--loss', '10%', '--delay', '50ms', '--down.rate', '600kbit', '--seed', '11'];
  const { server, relay } = await behindRelay(t, weather);
  const ada = await publish(t, await openChromium(t), server, 'hall', { width: 1280, height: 720 });
  const clean = await watch(t, await openChromium(t), server, 'hall');
  const far = await watch(t, await openChromium(t), server, 'hall', { rewrite: onlyThrough(relay.port), patience: 20_000 });
  await sleep(6000);
  // The browser begins with its largest encoding when it thinks that its own line carries it, some seconds later on a busy machine.
  const largest = async () => (await ada.sending()).find((encoding) => encoding.width === 1280)?.frames ?? 0;
  for (let [tries, before] = [0, await largest()]; tries < 10; tries += 1) {
    await sleep(2000);
    const now = await largest();
    if (now - before > 50) break;
    before = now;
  }
  // While it leaves it out nobody can be judged by it.
  let [bad, good, made] = [{}, {}, 0];
  for (let tries = 0; tries < 3 && made < 570; tries += 1) {
    const before = await largest();
    [bad, good] = await Promise.all([far.observe(20), clean.observe(20)]);
    made = (await largest()) - before;
    t.note(JSON.stringify({ bad, good, made }));
  }
  for (const [name, seen] of Object.entries({ bad, good })) {
    const rate = Math.round((seen.videoBytes * 8) / 20_000);
    const gap = Math.round(seen.longestGap);
    t.measured(name, `${seen.width} wide, ${seen.shown} shown, ${rate} kbit/s, longest gap ${gap} ms, ${(seen.madeUp * 100).toFixed(2)} % made up`);
  }
  t.measured('bytes of sound a packet', `${bad.soundBytes}/${good.soundBytes}`);
  check(bad.level > 0.01 && good.level > 0.01, 'silence');
  check(bad.madeUp < 0.02, `${(bad.madeUp * 100).toFixed(1)} % of the sound is made up`);
  check(bad.longestGap <= 1000, `the picture stood still for ${Math.round(bad.longestGap)} ms`);
  check(bad.soundBytes > good.soundBytes * 1.5, 'nothing went along with the sound');
  check(bad.retransmitted > 0, 'nothing was sent again');
  check(bad.videoBytes < 0.75 * good.videoBytes, 'the narrow line has all');
  check(made >= 570, `the browser has sent ${made} large pictures in 20 s`);
  check(good.narrowest === 1280, `the clean line has had a picture ${good.narrowest} wide`);
  check(good.longestGap <= 500, `the clean picture stood still for ${Math.round(good.longestGap)} ms`);
  check(good.madeUp < 0.02 && good.audioNacks === 0 && good.lost === 0, 'the watcher on the clean line has lost something');
});

scenario('network: who pretends a narrow line is told what waits', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.publish());
  const [ben, cleo] = [await member(t, browser, server, 'hall', 'ben'), await member(t, browser, server, 'hall', 'cleo')];
  await ben.sees('ada');
  await cleo.sees('ada');
  const said = async (state, times) =>
    until(`ben is told that the picture is ${state}`, async () =>
      (await ben.events('TrackStreamStateChanged')).filter((one) => one.state === state).length === times, 15_000);
  await ben.run(() => me.room.simulateScenario('subscriber-bandwidth', 50_000));
  await said('paused', 1);
  const [stopped, others] = [(await ben.inbound('ada')).frames, (await cleo.inbound('ada')).frames];
  await ben.hears('ada');
  await until('others see on', async () => (await cleo.inbound('ada')).frames > others + 30);
  check((await ben.inbound('ada')).frames <= stopped + 5, 'the picture goes on all the same');
  await ben.run(() => me.room.simulateScenario('subscriber-bandwidth', 0));
  await said('active', 1);
  await until('the picture goes on', async () => (await ben.inbound('ada')).frames > stopped + 20);
  check((await cleo.events('TrackStreamStateChanged')).length === 0, 'others are told as well');
});

scenario('network: no UDP', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  await publish(t, await openChromium(t), server, 'hall', { rewrite: withoutUdp });
  const watcher = await watch(t, await openChromium(t), server, 'hall', { rewrite: withoutUdp });
  const seen = await watcher.observe(8);
  demand(t, seen, { frames: 160, late: 250 });
  check(seen.protocol === 'tcp', `the media came by ${seen.protocol}`);
  const { net } = await server.stats();
  check(net.datagrams_in === 0, 'there was UDP');
});

scenario('network: an ICE restart keeps the session', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  const before = await watcher.run(() => ({ resource: me.resource, ufrag: me.pc.remoteDescription.sdp.match(/ice-ufrag:(\S+)/)[1] }));
  await watcher.run(async () => {
    await me.restart();
    await measure.until(() => me.pc.iceConnectionState === 'connected' && me.pc.connectionState === 'connected', 8000, 'ICE did not connect again');
  });
  const after = await watcher.run(() => ({ resource: me.resource, ufrag: me.pc.remoteDescription.sdp.match(/ice-ufrag:(\S+)/)[1] }));
  check(after.resource === before.resource, 'it is another session');
  check(after.ufrag !== before.ufrag, 'the server kept its old ICE credentials');
  const seen = await watcher.observe(5);
  demand(t, seen, { frames: 100 });
  const { participants } = await server.room('hall');
  check(participants.length === 2, `${participants.length} people are in the room`);
});

/** Nothing passes for 5 s; then a moving picture must be back within 2 s. */
async function cut(t, whose) {
  const { server, relay } = await behindRelay(t, ['--delay', '5ms']);
  const behind = { rewrite: onlyThrough(relay.port) };
  await publish(t, await openChromium(t), server, 'hall', whose === 'publisher' ? behind : {});
  const watcher = await watch(t, await openChromium(t), server, 'hall', whose === 'watcher' ? behind : {});
  await sleep(2000);
  relay.say('down');
  await sleep(5000);
  relay.say('up');
  const start = performance.now();
  await watcher.run(() => window.clock.reset());
  await until('a moving picture', () => watcher.run(() => window.clock.read().frames > 5), 20_000);
  const after = performance.now() - start;
  t.measured('picture again after ms', Math.round(after));
  check(after < 2000, `it took ${Math.round(after)} ms until the picture moved again`);
  const seen = await watcher.observe(4);
  check(seen.decoded > 60, `only ${seen.decoded} frames in 4 s`);
}

scenario('network: a watcher’s wire is cut and joined again', { seconds: 90, beside: true }, (t) => cut(t, 'watcher'));

scenario('network: a publisher’s wire is cut and joined again', { seconds: 90, beside: true }, (t) => cut(t, 'publisher'));
