// Clients that send on one connection and receive on another ("v0": the SDKs for phones and for Go), together with such as
// use one for both.

import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { eachWithEach, member, notes, plays, program, shows } from '../lib/members.mjs';
import { older } from '../lib/older.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startOpenServer } from '../lib/server.mjs';

/** Each with its colour and its tone; Firefox has a tone of its own. */
const LOOKS = { chromium: [[200, 30, 30], 600], firefox: [[30, 180, 30], 1000], python: [[30, 30, 200], 700], single: [[200, 200, 30], 800] };

scenario('dual: two connections and one', { seconds: 150, beside: true }, async (t) => {
  const server = await startOpenServer(t);
  check(server, 'the machine has no network address');
  const front = await older(t, server);
  const everybody = {
    chromium: await member(t, await openChromium(t), front, 'hall', 'chromium', { options: { dynacast: true } }),
    firefox: await member(t, await openFirefox(t), front, 'hall', 'firefox'),
    python: await program(t, 'python', front, 'hall', 'python'),
    single: await program(t, 'node', server, 'hall', 'single'),
  };
  const connections = () => me.room.engine.pcManager.subscriber !== undefined;
  check(await everybody.chromium.run(connections), 'the client has one connection');
  const names = Object.keys(LOOKS);
  const all = (what, each) => eachWithEach(t, everybody, what, each);
  for (const name of names) {
    await everybody[name].ask('picture', { colour: LOOKS[name][0], simulcast: name === 'chromium', width: 640, height: 360 });
    await everybody[name].ask('sound', { tone: LOOKS[name][1] });
    t.measured(`${name} joins ms`, Math.round(everybody[name].joined));
  }
  await all('pictures', (who, other) => shows(who, other, LOOKS[other][0]));
  await all('sounds', (who, other) => plays(who, other, LOOKS[other][1]));
  for (const name of names) await everybody[name].ask('say', { text: `from ${name}`, topic: 'news' });
  await all('data', (who, other) => notes(who, 'DataReceived', (one) => one.identity === other && one.text === `from ${other}`));
  await all('calls', async (who, other, name) => {
    const answer = await who.ask('call', { to: other, payload: '[1,2,3]' });
    check(answer === `${name} 6`, `the call gave ${answer}`);
  });

  const { chromium, firefox, python, single } = everybody;
  for (const [from, to] of [['chromium', 'python'], ['python', 'chromium'], ['python', 'firefox']]) {
    const name = `pose for ${to}`;
    await everybody[from].ask('stream', { name, length: 3000 });
    await everybody[to].ask('follow', { identity: from, name });
    await notes(everybody[to], 'Frame', (one) => one.identity === from && one.text === `${name} 3000 7`);
  }
  await python.ask('stopStream', { name: 'pose for chromium' });
  await notes(chromium, 'FramesEnded', (one) => one.identity === 'python');

  await firefox.ask('mute', { source: 'camera', muted: true });
  await notes(chromium, 'TrackMuted', (one) => one.identity === 'firefox');
  await firefox.ask('mute', { source: 'camera', muted: false });
  await shows(chromium, 'firefox', LOOKS.firefox[0]);
  await firefox.ask('unpublish', { source: 'camera' });
  await notes(chromium, 'TrackUnsubscribed', (one) => one.identity === 'firefox');
  await firefox.ask('picture', { colour: LOOKS.firefox[0] });
  await shows(chromium, 'firefox', LOOKS.firefox[0]);

  for (const accident of ['signal-reconnect', 'full-reconnect']) {
    const start = performance.now();
    await chromium.ask('simulate', { scenario: accident });
    await until('it comes back', async () => (await chromium.ask('events', { name: 'Reconnected' })).length > (accident === 'full-reconnect' ? 1 : 0), 20_000, 50);
    t.measured(`${accident} ms`, Math.round(performance.now() - start));
    for (const other of names.slice(1)) await shows(chromium, other, LOOKS[other][0]);
    await shows(single, 'chromium', LOOKS.chromium[0]);
  }
  await chromium.ask('leave');
  await until('the others are told', async () => (await single.ask('events', { name: 'ParticipantDisconnected' })).some((one) => one.identity === 'chromium'));
  for (const name of names.slice(1)) await everybody[name].ask('leave');
});
