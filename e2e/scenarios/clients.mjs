// Client SDKs of all kinds in one room: livekit-client in Chromium and Firefox, the SDKs for Python and for Node.

import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { eachWithEach, member, notes, plays, program, shows } from '../lib/members.mjs';
import { older } from '../lib/older.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startOpenServer, startServer } from '../lib/server.mjs';

const RED = [200, 30, 30];
const GREEN = [30, 180, 30];
const BLUE = [30, 30, 200];
const YELLOW = [200, 200, 30];

/** Each with its colour and its tone; Firefox has a tone of its own. */
const LOOKS = { chromium: [RED, 600], firefox: [GREEN, 1000], python: [BLUE, 700], node: [YELLOW, 800] };

scenario('clients: each with each', { seconds: 240 }, async (t) => {
  // Firefox does not always use the loopback address.
  const server = await startOpenServer(t);
  check(server, 'the machine has no network address');
  const everybody = {
    chromium: await member(t, await openChromium(t), server, 'hall', 'chromium'),
    firefox: await member(t, await openFirefox(t), server, 'hall', 'firefox'),
    python: await program(t, 'python', server, 'hall', 'python'),
    node: await program(t, 'node', server, 'hall', 'node'),
  };
  const names = Object.keys(LOOKS);
  for (const name of names) {
    const [colour, tone] = LOOKS[name];
    await everybody[name].ask('picture', { colour });
    await everybody[name].ask('sound', { tone });
    t.measured(`${name} joins ms`, Math.round(everybody[name].joined));
  }
  const all = (what, each) => eachWithEach(t, everybody, what, each);
  await all('pictures', (who, other) => shows(who, other, LOOKS[other][0]));
  await all('sounds', (who, other) => plays(who, other, LOOKS[other][1]));
  for (const name of names) {
    await everybody[name].ask('say', { text: `reliable from ${name}`, topic: 'news' });
    await everybody[name].ask('say', { text: `lossy from ${name}`, reliable: false });
    await everybody[name].ask('write', { text: `chat of ${name} ${'x'.repeat(20_000)}` });
    await everybody[name].ask('file', { length: 40_000 });
    await everybody[name].ask('dial', { code: 5, digit: '5' });
  }
  await all('data', async (who, other) => {
    await notes(who, 'DataReceived', (one) => one.identity === other && one.text === `reliable from ${other}` && one.topic === 'news' && one.reliable);
    await notes(who, 'DataReceived', (one) => one.identity === other && one.text === `lossy from ${other}` && !one.reliable);
    await notes(who, 'Dialled', (one) => one.identity === other && one.digit === '5');
    await notes(who, 'Text', (one) => one.identity === other && one.text === `chat of ${other} ${'x'.repeat(20_000)}`);
    const sum = Array.from({ length: 40_000 }, (_, index) => index % 251).reduce((a, b) => a + b);
    await notes(who, 'File', (one) => one.identity === other && one.length === 40_000 && one.sum === sum);
  });
  await all('calls', async (who, other, name) => {
    const answer = await who.ask('call', { to: other, payload: '[1,2,3]' });
    check(answer === `${name} 6`, `the call gave ${answer}`);
    const refusal = await who.ask('call', { to: other, payload: '', method: 'nothing' }).then(() => '', (error) => error.message);
    check(/not supported/.test(refusal), `an unknown method gave ${refusal}`);
  });
  const mutes = names.filter((name) => name !== 'node');
  for (const name of mutes) await everybody[name].ask('mute', { source: 'microphone', muted: true });
  await all('mutes', async (who, other) => {
    if (!mutes.includes(other)) return;
    await notes(who, 'TrackMuted', (one) => one.identity === other && one.source === 'microphone');
    await until(`${other} is silent`, async () => {
      const { tone, loud } = await who.ask('look', { identity: other, source: 'microphone' });
      return tone === undefined || loud < 0.01;
    }, 10_000, 200);
  });
  await everybody.chromium.ask('leave');
  for (const name of names.slice(1)) await notes(everybody[name], 'ParticipantDisconnected', (one) => one.identity === 'chromium');
  for (const name of names.slice(1)) await everybody[name].ask('leave');
  await until('the room is empty', async () => ((await server.room('hall')).participants ?? []).length === 0);
});

/** The SDKs without a browser, in both forms of the protocol: with one connection, and with two where the newer form is not served. */
const FORMS = ['python', 'node'].flatMap((kind) => [[kind, kind, (t, server) => server], [kind, `${kind} on two connections`, older]]);

for (const [kind, name, form] of FORMS) {
  scenario(`clients: ${name} shares a screen, is renamed, chooses, is muted, leaves`, { seconds: 180, beside: true }, async (t) => {
    const server = await startServer(t);
    const ada = await member(t, await openChromium(t), server, 'hall', 'ada', { grant: { canUpdateOwnMetadata: true } });
    const ben = await program(t, kind, await form(t, server), 'hall', 'ben', { name: 'Ben', metadata: 'first', grant: { canUpdateOwnMetadata: true } });
    await notes(ada, 'ParticipantConnected', (one) => one.identity === 'ben');
    const [seen] = await ada.roster();
    check(seen.name === 'Ben' && seen.metadata === 'first', `ada sees ${JSON.stringify(seen)}`);
    const described = async (who, identity, wanted) => until(`${identity} is described`, async () => {
      const one = (await who.ask('roster')).find((one) => one.identity === identity);
      return one?.name === wanted.name && one.metadata === wanted.metadata && Object.entries(wanted.attributes).every(([key, value]) => one.attributes[key] === value);
    });
    const said = { name: 'Benjamin', metadata: 'second', attributes: { hand: 'raised', place: 'left' } };
    await ben.ask('describe', said);
    await described(ada, 'ben', said);
    await ada.ask('describe', said);
    await described(ben, 'ada', said);
    await ben.ask('describe', { attributes: { hand: '' } });
    await until('the hand is down', async () => !(await ada.roster())[0].attributes.hand);

    await ada.ask('picture', { colour: GREEN });
    await ada.ask('sound', { tone: 600 });
    await shows(ben, 'ada', GREEN);
    await ben.ask('picture', { colour: RED });
    await ben.ask('picture', { colour: BLUE, source: 'screen_share', fps: 5 });
    await shows(ada, 'ben', RED);
    await shows(ada, 'ben', BLUE, { source: 'screen_share' });
    await ada.ask('picture', { colour: YELLOW, source: 'screen_share', fps: 5 });
    await shows(ben, 'ada', YELLOW, { source: 'screen_share' });
    await ben.ask('unpublish', { source: 'screen_share' });
    await notes(ada, 'TrackUnpublished', (one) => one.source === 'screen_share');
    // The section that was freed is used again.
    await ben.ask('picture', { colour: GREEN, source: 'screen_share', fps: 5 });
    await shows(ada, 'ben', GREEN, { source: 'screen_share' });

    await ada.ask('mute', { source: 'camera', muted: true });
    await notes(ben, 'TrackMuted', (one) => one.identity === 'ada' && one.source === 'camera');
    await ada.ask('mute', { source: 'camera', muted: false });
    await notes(ben, 'TrackUnmuted', (one) => one.identity === 'ada' && one.source === 'camera');
    await shows(ben, 'ada', GREEN);
    if (kind === 'python') {
      await ben.ask('sound', { tone: 900 });
      await plays(ada, 'ben', 900);
      await ben.ask('mute', { source: 'microphone', muted: true });
      await notes(ada, 'TrackMuted', (one) => one.identity === 'ben' && one.source === 'microphone');
      await ben.ask('mute', { source: 'microphone', muted: false });
      await notes(ada, 'TrackUnmuted', (one) => one.identity === 'ben' && one.source === 'microphone');
      await plays(ada, 'ben', 900);
    }
    await ben.ask('subscribe', { identity: 'ada', source: 'camera', wanted: false });
    await notes(ben, 'TrackUnsubscribed', (one) => one.source === 'camera');
    await ben.ask('subscribe', { identity: 'ada', source: 'camera', wanted: true });
    await shows(ben, 'ada', GREEN);
    await ben.ask('leave');
    await until('ada is alone', async () => (await ada.roster()).length === 0);
  });

  scenario(`clients: ${name} sends no more encodings than somebody wants`, { seconds: 180, beside: true }, async (t) => {
    const server = await startServer(t);
    const ben = await program(t, kind, await form(t, server), 'hall', 'ben', { options: { dynacast: true } });
    await ben.ask('picture', { colour: BLUE, width: 960, height: 540, simulcast: true });
    const active = async () => (await ben.ask('encodings')).filter((one) => one.active).map((one) => one.rid).sort().join('');
    const ada = await member(t, await openChromium(t), server, 'hall', 'ada');
    await until('all encodings are sent', async () => (await active()) === 'fhq', 20_000, 250);
    await shows(ada, 'ben', BLUE, { fits: ({ width }) => width === 960 });
    await ada.ask('quality', { identity: 'ben', quality: 0 });
    await shows(ada, 'ben', BLUE, { fits: ({ width }) => width < 480 });
    await until('only the lowest is sent', async () => (await active()) === 'q', 20_000, 250);
    await ada.ask('quality', { identity: 'ben', quality: 2 });
    await shows(ada, 'ben', BLUE, { fits: ({ width }) => width === 960 });
  });

  scenario(`clients: ${name} and accidents`, { seconds: 240, beside: true }, async (t) => {
    const server = await startServer(t);
    const ada = await member(t, await openChromium(t), server, 'hall', 'ada');
    await ada.ask('picture', { colour: RED });
    const ben = await program(t, kind, await form(t, server), 'hall', 'ben');
    await ben.ask('picture', { colour: BLUE });
    await shows(ada, 'ben', BLUE);
    await shows(ben, 'ada', RED);
    for (const scenario of ['signal-reconnect', 'disconnect-signal-on-resume', 'migration', 'full-reconnect', 'node-failure']) {
      const start = performance.now();
      const count = (await ben.ask('events', { name: 'Reconnected' })).length;
      await ben.ask('simulate', { scenario });
      await until(`${scenario}: reconnected`, async () => (await ben.ask('events', { name: 'Reconnected' })).length > count, 30_000);
      t.measured(`${scenario} ms`, Math.round(performance.now() - start));
      await shows(ada, 'ben', BLUE);
      await shows(ben, 'ada', RED);
      await ben.ask('say', { text: scenario });
      await notes(ada, 'DataReceived', (one) => one.identity === 'ben' && one.text === scenario);
      const answer = await ada.ask('call', { to: 'ben', payload: '[4,5]' });
      check(answer === 'ada 9', `the call gave ${answer}`);
    }
    await ben.ask('simulate', { scenario: 'speaker' });
    await notes(ada, 'ActiveSpeakersChanged', (one) => one.speakers.includes('ben'));
    await ben.ask('simulate', { scenario: 'server-leave' });
    await notes(ben, 'Disconnected');
    await until('ada is alone', async () => (await ada.roster()).length === 0);
  });
}

scenario('clients: encrypted end to end', { seconds: 240 }, async (t) => {
  const server = await startOpenServer(t);
  check(server, 'the machine has no network address');
  const key = 'secret of four';
  const everybody = {
    chromium: await member(t, await openChromium(t), server, 'hall', 'chromium', { key }),
    firefox: await member(t, await openFirefox(t), server, 'hall', 'firefox', { key }),
    python: await program(t, 'python', server, 'hall', 'python', { key }),
    node: await program(t, 'node', server, 'hall', 'node', { key }),
  };
  const eve = await program(t, 'python', server, 'hall', 'eve', { key: 'another secret' });
  for (const [name, one] of Object.entries(everybody)) {
    await one.ask('picture', { colour: LOOKS[name][0] });
    await one.ask('sound', { tone: LOOKS[name][1] });
  }
  for (const [name, one] of Object.entries(everybody)) {
    for (const other of Object.keys(everybody).filter((other) => other !== name)) {
      await shows(one, other, LOOKS[other][0]);
      await plays(one, other, LOOKS[other][1]);
    }
  }
  await everybody.python.ask('say', { text: 'in private' });
  await notes(everybody.node, 'DataReceived', (one) => one.identity === 'python' && one.text === 'in private');
  await notes(everybody.chromium, 'DataReceived', (one) => one.identity === 'python' && one.text === 'in private');
  await everybody.chromium.ask('write', { text: 'in private' });
  await notes(everybody.python, 'Text', (one) => one.identity === 'chromium' && one.text === 'in private');
  // Who does not know the secret is there, and gets nothing: it is really encrypted.
  await notes(eve, 'TrackSubscribed', (one) => one.identity === 'node' && one.source === 'camera');
  for (const name of Object.keys(everybody)) {
    check((await eve.ask('look', { identity: name, source: 'camera' })).frames === 0, `eve sees ${name}`);
    check(!((await eve.ask('look', { identity: name, source: 'microphone' })).loud > 0.01), `eve hears ${name}`);
  }
  check(!(await eve.ask('events')).some((one) => one.text === 'in private'), 'eve reads');
});

scenario('clients: screens of browsers, and H.264', { seconds: 180 }, async (t) => {
  const server = await startOpenServer(t);
  check(server, 'the machine has no network address');
  const ada = await member(t, await openChromium(t), server, 'hall', 'ada');
  const finn = await member(t, await openFirefox(t), server, 'hall', 'finn');
  const ben = await program(t, 'python', server, 'hall', 'ben');
  await ada.ask('share');
  await finn.ask('share');
  for (const one of [finn, ben]) await shows(one, 'ada', undefined, { source: 'screen_share' });
  for (const one of [ada, ben]) await shows(one, 'finn', undefined, { source: 'screen_share' });
  // This Firefox has no decoder for it: it is told so, and nothing else is disturbed.
  await ada.ask('picture', { colour: GREEN, codec: 'h264', simulcast: true, width: 640, height: 360 });
  await shows(ben, 'ada', GREEN, { fits: ({ width }) => width === 640 });
  await ben.ask('quality', { identity: 'ada', quality: 0 });
  await shows(ben, 'ada', GREEN, { fits: ({ width }) => width === 320 });
  await ben.ask('picture', { colour: RED, codec: 'h264' });
  await shows(ada, 'ben', RED, { fits: ({ codec }) => codec === 'video/H264' });
  await notes(finn, 'TrackSubscriptionFailed', (one) => one.identity === 'ada');
  await notes(finn, 'TrackSubscriptionFailed', (one) => one.identity === 'ben');
  await shows(finn, 'ada', undefined, { source: 'screen_share' });
});

scenario('clients: all come back when the server has been replaced', { seconds: 240, beside: true }, async (t) => {
  const server = await startOpenServer(t);
  check(server, 'the machine has no network address');
  const everybody = {
    chromium: await member(t, await openChromium(t), server, 'hall', 'chromium'),
    firefox: await member(t, await openFirefox(t), server, 'hall', 'firefox'),
    python: await program(t, 'python', server, 'hall', 'python'),
    node: await program(t, 'node', await older(t, server), 'hall', 'node'),
  };
  const names = Object.keys(everybody);
  for (const name of names) await everybody[name].ask('picture', { colour: LOOKS[name][0], fps: 5 });
  const seen = async (what) => {
    for (const name of names) for (const other of names) {
      if (other === name) continue;
      await shows(everybody[name], other, LOOKS[other][0], { ms: 60_000 }).catch((error) => {
        throw new Error(`${what}: ${name}: ${error.message}`);
      });
    }
  };
  await seen('at first');
  await server.stop();
  const start = performance.now();
  await startOpenServer(t, { flags: ['--listen', new URL(server.base).host.replace('localhost', '127.0.0.1')], key: server.key });
  await seen('afterwards');
  t.measured('all again ms', Math.round(performance.now() - start));
});
