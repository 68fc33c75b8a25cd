// What a client of the room protocol may try: each gets the right answer, fills nothing, and disturbs nobody.

import { connect } from 'node:net';
import { readFile } from 'node:fs/promises';
import { JoinRequest, SignalRequest, SignalResponse, WrappedJoinRequest } from '@livekit/protocol';
import WebSocket from 'ws';
import { openChromium } from '../lib/browsers.mjs';
import { member } from '../lib/members.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';

const address = (server, identity, { room = 'hall', query = '', ...claims } = {}) =>
  `${server.base.replace('http', 'ws')}/rtc/v1?access_token=${token({ room, identity, ...claims })}&join_request=${query}`;

/** A client that speaks for itself: joins without media. `said()` are the messages that have come, `closed` when it is over. */
function raw(t, server, identity, options) {
  const socket = new WebSocket(address(server, identity, options));
  const frames = [];
  socket.on('message', (data) => frames.push(data));
  // A thousand of them have no time to read all.
  socket.said = () => frames.map((data) => SignalResponse.fromBinary(data).message);
  socket.closed = new Promise((done) => socket.on('error', () => {}).on('close', done));
  socket.joined = new Promise((done, fail) => socket.once('message', () => done(socket)).once('error', fail).once('unexpected-response', (_, { statusCode }) => fail(new Error(`answered with ${statusCode}`))));
  socket.joined.catch(() => {});
  socket.heard = (name) => until(`${identity} is told ${name}`, () => socket.said().find((one) => one.case === name)?.value);
  t.defer(() => socket.terminate());
  return socket;
}

const ask = (socket, name, value) => socket.send(new SignalRequest({ message: { case: name, value } }).toBinary());

/** What the server uses: memory in MiB, and seconds of processor time. */
async function used(server) {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  const stat = (await readFile(`/proc/${server.pid}/stat`, 'utf8')).split(') ')[1].split(' ');
  return { memory: Number(status.match(/VmRSS:\s+(\d+)/)[1]) / 1024, seconds: (Number(stat[11]) + Number(stat[12])) / 100 };
}

/** Two people who see each other, and a check that they still do. */
async function call(t, server) {
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben');
  await ben.sees('ada');
  const goesOn = async (what) => {
    const before = (await ben.inbound('ada')).frames;
    await until(`${what}: the picture goes on`, async () => (await ben.inbound('ada')).frames > before + 20, 10_000);
    await ada.run((what) => me.room.localParticipant.publishData(new TextEncoder().encode(what), { reliable: true }), what);
    await until(`${what}: data comes`, async () => (await ben.events('DataReceived')).some((one) => one.text === what), 10_000);
    check((await ben.events('Reconnecting')).length + (await ada.events('Reconnecting')).length === 0, `${what}: somebody had to reconnect`);
  };
  return { browser, ada, ben, goesOn };
}

scenario('abuse: a thousand connections that ask for nothing', { seconds: 120, beside: true }, async (t) => {
  const server = await startServer(t);
  const { browser, goesOn } = await call(t, server);
  const { hostname, port } = new URL(server.base);
  const before = await used(server);
  const sockets = Array.from({ length: 1000 }, () => {
    const socket = connect(Number(port), hostname === 'localhost' ? '127.0.0.1' : hostname);
    socket.ended = new Promise((done) => socket.on('error', () => {}).on('close', done));
    // Half of them begin to ask, none comes to an end.
    socket.write(Math.random() < 0.5 ? 'GET /rtc/v1?join_request=&access_token=' : '\r');
    socket.resume();
    return socket;
  });
  t.defer(() => sockets.forEach((socket) => socket.destroy()));
  await sleep(500);
  const start = performance.now();
  const cleo = await member(t, browser, server, 'hall', 'cleo');
  t.measured('join beside them ms', Math.round(performance.now() - start));
  await cleo.sees('ada');
  await goesOn('half-open connections');
  const { memory } = await used(server);
  t.measured('memory MiB', memory - before.memory);
  check(memory - before.memory < 100, `they cost ${memory - before.memory} MiB`);
  await Promise.all(sockets.map((socket) => socket.ended));
  t.measured('all closed after ms', Math.round(performance.now() - start));
});

scenario('abuse: a thousand clients that never speak', { seconds: 150, beside: true }, async (t) => {
  const server = await startServer(t);
  const { goesOn, ben } = await call(t, server);
  const before = await used(server);
  const start = performance.now();
  const clients = Array.from({ length: 1000 }, (_, index) => raw(t, server, `idle-${index}`, { room: `crowd-${index % 20}` }));
  await Promise.all(clients.map((one) => one.joined));
  t.measured('all in after ms', Math.round(performance.now() - start));
  await goesOn('a crowd elsewhere');
  check((await ben.roster()).length === 1, 'somebody from elsewhere is here');
  const full = await used(server);
  t.measured('memory MiB', full.memory - before.memory);
  check(full.memory - before.memory < 150, `they cost ${full.memory - before.memory} MiB`);
  // Media never comes: they are sent away, and told so.
  await Promise.all(clients.map((one) => one.closed));
  t.measured('all gone after ms', Math.round(performance.now() - start));
  check(clients.every((one) => one.said().some((told) => told.case === 'leave')), 'somebody was not told to leave');
});

scenario('abuse: tokens', { seconds: 90, beside: true }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  await ada.run(() => me.publish());
  // 60 s of leeway: this one is good for five seconds more.
  const short = { seconds: -55 };
  const ben = await member(t, browser, server, 'hall', 'ben', short);
  await ben.sees('ada');
  const expiring = address(server, 'ben', short);
  await sleep(6000);
  const answered = (url) => new Promise((done) => new WebSocket(url).on('error', () => {}).once('unexpected-response', (_, { statusCode }) => done(statusCode)).once('open', () => done(101)));
  check((await answered(expiring)) === 401, 'an expired token lets in');
  const before = (await ben.inbound('ada')).frames;
  await until('the call goes on', async () => (await ben.inbound('ada')).frames > before + 20);
  // With the token that it was given meanwhile it comes back, and even joins anew.
  for (const scenario of ['signal-reconnect', 'full-reconnect']) {
    const count = (await ben.events('Reconnected')).length;
    await ben.run((scenario) => me.room.simulateScenario(scenario), scenario);
    await until(`${scenario}: it comes back`, async () => (await ben.events('Reconnected')).length > count, 30_000);
    await ben.sees('ada');
  }

  // Coming back needs a token of the same room and the same person.
  const { sid } = (await ben.roster()).find((one) => one.identity === 'ada');
  const joinRequest = new JoinRequest({ reconnect: true, participantSid: sid }).toBinary();
  const query = Buffer.from(new WrappedJoinRequest({ joinRequest }).toBinary()).toString('base64url');
  for (const [identity, room] of [['mallory', 'hall'], ['ada', 'yard']]) {
    const thief = raw(t, server, identity, { room, query });
    const { reason, action } = await thief.heard('leave');
    check(reason === 6 && action === 2, `${identity} in ${room}: reason ${reason}, action ${action}`);
    check(thief.said().length === 1, 'more was told');
    await thief.closed;
  }
  check((await ada.events('Disconnected')).length === 0, 'ada was disturbed');
});

scenario('abuse: without the right', { seconds: 60, beside: true }, async (t) => {
  const server = await startServer(t);
  const watcher = raw(t, server, 'watcher', { grant: { canPublish: false } });
  await watcher.joined;
  const microphone = { cid: 'mic', type: 0, source: 2 };
  ask(watcher, 'addTrack', microphone);
  const { reason } = await watcher.heard('requestResponse');
  check(reason === 2, `adding a track gives the reason ${reason}`);
  ask(watcher, 'updateMetadata', { metadata: 'mine', requestId: 7 });
  await until('metadata is refused', () => watcher.said().some((one) => one.case === 'requestResponse' && one.value.requestId === 7 && one.value.reason === 2));
  // One who may use the microphone only.
  const speaker = raw(t, server, 'speaker', { grant: { canPublishSources: ['microphone'] } });
  await speaker.joined;
  ask(speaker, 'addTrack', { cid: 'cam', type: 1, source: 1 });
  check((await speaker.heard('requestResponse')).reason === 2, 'a camera where only a microphone is allowed');
  ask(speaker, 'addTrack', microphone);
  check((await speaker.heard('trackPublished')).cid === 'mic', 'the microphone is not taken');
});
