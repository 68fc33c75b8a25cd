// Webhooks: receivers that check them by the SDK's own verifier hear of every event, in order, even when they were away.

import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EgressClient, RoomServiceClient, WebhookReceiver } from 'livekit-server-sdk';
import WebSocket from 'ws';
import { openChromium } from '../lib/browsers.mjs';
import { member } from '../lib/members.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { bearer, startServer, token } from '../lib/server.mjs';

const KINDS = { http: ['http://127.0.0.1', createServer], https: ['https://localhost', createSecureServer] };

/** A receiver; it answers the first requests with `failures`. `events` are those that it took. */
async function receiver(t, kind, options, failures = []) {
  const verifier = new WebhookReceiver('devkey', 'secret');
  const events = [];
  const problems = [];
  const [base, create] = KINDS[kind];
  const server = create(options, async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    try {
      check(request.headers['content-type'] === 'application/webhook+json', `the type is ${request.headers['content-type']}`);
      const event = await verifier.receive(body, request.headers.authorization);
      const status = failures.shift() ?? 200;
      if (status === 200) events.push(event);
      response.writeHead(status).end();
    } catch (error) {
      problems.push(error.message);
      response.writeHead(400).end();
    }
  });
  await new Promise((done) => server.listen(0, kind === 'https' ? 'localhost' : '127.0.0.1', done));
  t.defer(() => new Promise((done) => {
    server.closeAllConnections();
    server.close(done);
  }));
  const names = () => events.map((one) => [one.event, one.participant?.identity, one.track?.source].filter((part) => part !== undefined).join(' '));
  t.defer(() => t.note(`${kind}: ${names().join(', ')}; ${problems.join(', ')}`));
  return { url: `${base}:${server.address().port}/hook`, events, names, problems };
}

/** A server that tells all receivers. */
async function startTelling(t, receivers, env, flags = []) {
  const folder = await mkdtemp(join(tmpdir(), 'althing-webhooks-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'althing.toml');
  await writeFile(file, `[webhooks]\nurls = ${JSON.stringify(receivers.map((one) => one.url))}\nkey = "devkey"\n`);
  return startServer(t, { flags: ['--config', file, ...flags], env });
}

/** A certificate for localhost, and its key, that nobody has signed but itself. */
async function certificate(t) {
  const folder = await mkdtemp(join(tmpdir(), 'althing-certificate-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { file: cert, key: await readFile(key), cert: await readFile(cert) };
}

scenario('webhooks: a meeting, as receivers hear of it', { seconds: 90, beside: true }, async (t) => {
  const tls = await certificate(t);
  const receivers = [await receiver(t, 'http', {}, [503, 503]), await receiver(t, 'https', { key: tls.key, cert: tls.cert })];
  const server = await startTelling(t, receivers, { SSL_CERT_FILE: tls.file });
  const api = new RoomServiceClient(server.base, 'devkey', 'secret');
  await api.createRoom({ name: 'hall', departureTimeout: 1, metadata: 'agenda' });

  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada', { name: 'Ada' });
  await ada.run(() => me.publish());
  const ben = await member(t, browser, server, 'hall', 'ben');
  await ben.sees('ada');
  await ada.run(async () => me.room.localParticipant.unpublishTrack(me.room.localParticipant.getTrackPublication('camera').track));
  await until('the camera is gone', async () => (await ben.events('TrackUnpublished')).length === 1);
  // Somebody who says nothing and goes before any media has flowed.
  const socket = new WebSocket(`${server.base.replace('http', 'ws')}/rtc/v1?join_request=&access_token=${token({ room: 'hall', identity: 'cleo' })}`);
  await new Promise((done, fail) => socket.once('message', done).once('error', fail));
  await until('cleo is there', async () => (await ben.roster()).some((one) => one.identity === 'cleo'));
  socket.terminate();
  await until('cleo is gone', async () => (await ben.roster()).every((one) => one.identity !== 'cleo'));
  await api.removeParticipant('hall', 'ada');
  await until('ada is gone', async () => (await ben.roster()).length === 0);
  await ben.run(() => me.room.disconnect());

  const meeting = ['room_started', 'participant_joined ada', 'track_published ada 1', 'track_published ada 2', 'participant_joined ben',
    'track_unpublished ada 1', 'participant_connection_aborted cleo', 'track_unpublished ada 2', 'participant_left ada', 'participant_left ben', 'room_finished'];
  for (const { names, events, problems } of receivers) {
    await until(`the end is told: ${names()}`, async () => names().length >= meeting.length, 20_000);
    check(problems.length === 0, `the verifier says: ${problems}`);
    check(names().join() === meeting.join(), `told: ${names()}`);
    check(events.every((one) => one.room.name === 'hall' && one.room.sid === events[0].room.sid && one.room.metadata === 'agenda' && one.id && one.createdAt > 0n), 'something is missing');
    check(new Set(events.map((one) => one.id)).size === events.length, 'an id comes twice');
    check(events[1].participant.name === 'Ada' && events[1].participant.sid.startsWith('PA_'), JSON.stringify(events[1]));
    check(events[2].track.sid.startsWith('TR_') && events[2].track.sid === events[5].track.sid, 'not the same track');
    const reasons = [6, 8, 9].map((index) => events[index].participant.disconnectReason).join();
    check(reasons === '9,4,1', `the reasons are ${reasons}`);
  }
  const { webhooks } = await server.stats();
  check(webhooks.delivered === 2 * meeting.length && webhooks.failed === 2 && webhooks.lost === 0 && webhooks.waiting === 0, JSON.stringify(webhooks));
});

scenario('webhooks: the end of the server is told', { seconds: 60, beside: true }, async (t) => {
  const hears = await receiver(t, 'http', {});
  const data = await mkdtemp(join(tmpdir(), 'althing-data-'));
  t.defer(() => rm(data, { recursive: true, force: true }));
  const server = await startTelling(t, [hears], {}, ['--data', data]);
  const socket = new WebSocket(`${server.base.replace('http', 'ws')}/rtc/v1?join_request=&access_token=${token({ room: 'hall', identity: 'ada' })}`);
  t.defer(() => socket.terminate());
  await new Promise((done, fail) => socket.once('message', done).once('error', fail));
  // A recording is told of from the question to the last file, also when the server stops.
  const { egressId } = await new EgressClient(server.base, 'devkey', 'secret').startRoomCompositeEgress('hall', {});
  const headers = { 'content-type': 'application/json', ...bearer(token({ room: 'hall', identity: 'ada' })) };
  await fetch(`${server.base}/recordings/hall/answer`, { method: 'POST', headers, body: '{"agrees":true}' });
  await until('it has begun', () => hears.names().includes('egress_updated'));
  await server.stop();
  const people = hears.events.filter((one) => !one.egressInfo && one.participant?.identity !== 'recorder');
  check(people.map((one) => one.event).join() === 'room_started,participant_connection_aborted,room_finished', `told: ${hears.names()}`);
  check(people[2].roomEndReason === 3, `the reason is ${people[2].roomEndReason}`);
  const recording = hears.events.filter((one) => one.egressInfo);
  const steps = recording.map(({ event, egressInfo }) => `${event} ${egressInfo.status}`).join();
  check(steps === 'egress_started 0,egress_updated 1,egress_updated 2,egress_ended 3', `told: ${steps}`);
  check(recording.every(({ egressInfo }) => egressInfo.egressId === egressId && egressInfo.roomName === 'hall'), 'of another recording');
});
