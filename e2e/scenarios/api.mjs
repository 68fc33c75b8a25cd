// The server API: every method, by two SDKs that speak different languages; the effects are seen by members of the room.

import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DirectFileOutput, EgressClient, EncodedFileOutput, RoomServiceClient, StreamOutput } from 'livekit-server-sdk';
import WebSocket from 'ws';
import { openChromium } from '../lib/browsers.mjs';
import { member } from '../lib/members.mjs';
import { PYTHON, converse } from '../lib/programs.mjs';
import { check, scenario, sleep, until } from '../lib/runner.mjs';
import { bearer, startServer, token } from '../lib/server.mjs';

const SCRIPT = fileURLToPath(new URL('../py/api.py', import.meta.url));

/** A call without an SDK, in JSON. */
async function plain(server, method, body, grant) {
  const headers = { 'content-type': 'application/json', ...bearer(token({ identity: 'admin', room: body.room, grant: { roomAdmin: true, ...grant } })) };
  const answer = await fetch(`${server.base}/twirp/livekit.RoomService/${method}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.ok ? answer.json() : Promise.reject(await answer.json());
}

/** Calls by the SDK for Node, which speaks JSON; a refusal is an answer. */
function byJson(t, server, secret = 'secret') {
  const api = new RoomServiceClient(server.base, 'devkey', secret);
  const egress = new EgressClient(server.base, 'devkey', secret);
  const outputs = ({ fileOutputs = [], streamOutputs = [] }) => ({
    ...(fileOutputs[0] && { file: EncodedFileOutput.fromJson(fileOutputs[0]) }),
    ...(streamOutputs[0] && { stream: StreamOutput.fromJson(streamOutputs[0]) }),
  });
  const methods = {
    StartRoomCompositeEgress: ({ roomName, ...rest }) => egress.startRoomCompositeEgress(roomName, outputs(rest), rest),
    StartParticipantEgress: ({ roomName, identity, ...rest }) => egress.startParticipantEgress(roomName, identity, outputs(rest), rest),
    StartTrackEgress: ({ roomName, trackId, file, websocketUrl }) => egress.startTrackEgress(roomName, websocketUrl ?? DirectFileOutput.fromJson(file ?? {}), trackId),
    StopEgress: ({ egressId }) => egress.stopEgress(egressId),
    ListEgress: async (asked) => ({ items: (await egress.listEgress(asked)).map((one) => one.toJson()) }),
    CreateRoom: (asked) => api.createRoom(asked),
    ListRooms: async ({ names }) => ({ rooms: (await api.listRooms(names)).map((one) => one.toJson()) }),
    DeleteRoom: ({ room }) => api.deleteRoom(room),
    ListParticipants: async ({ room }) => ({ participants: (await api.listParticipants(room)).map((one) => one.toJson()) }),
    GetParticipant: ({ room, identity }) => api.getParticipant(room, identity),
    RemoveParticipant: ({ room, identity }) => api.removeParticipant(room, identity),
    ForwardParticipant: ({ room, identity, destinationRoom }) => api.forwardParticipant(room, identity, destinationRoom),
    MoveParticipant: ({ room, identity, destinationRoom }) => api.moveParticipant(room, identity, destinationRoom),
    MutePublishedTrack: async ({ room, identity, trackSid, muted }) => ({ track: (await api.mutePublishedTrack(room, identity, trackSid, muted)).toJson() }),
    UpdateParticipant: ({ room, identity, ...rest }) => api.updateParticipant(room, identity, rest),
    UpdateSubscriptions: ({ room, identity, trackSids, subscribe }) => api.updateSubscriptions(room, identity, trackSids, subscribe),
    SendData: ({ room, data, kind, ...rest }) => api.sendData(room, Buffer.from(data, 'base64'), { RELIABLE: 0, LOSSY: 1 }[kind], rest),
    UpdateRoomMetadata: ({ room, metadata }) => api.updateRoomMetadata(room, metadata),
    // The SDK has none for this one yet.
    PerformRpc: (asked) => plain(server, 'PerformRpc', asked),
  };
  return async (method, asked = {}) => {
    try {
      const answer = await methods[method](asked);
      return answer?.toJson?.() ?? answer ?? {};
    } catch (error) {
      return { refused: error.code, field: error.metadata?.argument };
    }
  };
}

/** The same by the SDK for Python, which speaks protobuf. */
function byProtobuf(t, server, secret = 'secret') {
  const { ask } = converse(t, PYTHON, [SCRIPT, server.base, 'devkey', secret]);
  return (method, request = {}) => ask(method, { request });
}

const base64 = (text) => Buffer.from(text).toString('base64');

/** Makes a room and fills it; gives the two people in it. */
async function open(t, server, call) {
  const made = await call('CreateRoom', { name: 'hall', emptyTimeout: 60, departureTimeout: 5, maxParticipants: 2, metadata: 'agenda' });
  check(made.sid?.startsWith('RM_') && made.metadata === 'agenda' && made.emptyTimeout === 60 && made.departureTimeout === 5 && made.maxParticipants === 2, `made ${JSON.stringify(made)}`);
  check((await call('CreateRoom', { name: 'hall' })).sid === made.sid, 'made twice');
  check((await call('CreateRoom', { name: '' })).refused === 'invalid_argument', 'made without a name');
  check((await call('ListRooms')).rooms.map((one) => one.name).join() === 'hall', 'not in the list');
  check(((await call('ListRooms', { names: ['other'] })).rooms ?? []).length === 0, 'the list is not filtered');
  const browser = await openChromium(t);
  const ada = await member(t, browser, server, 'hall', 'ada');
  const ben = await member(t, browser, server, 'hall', 'ben');
  const third = new WebSocket(`${server.base.replace('http', 'ws')}/rtc/v1?join_request=&access_token=${token({ room: 'hall', identity: 'cleo' })}`);
  const status = await new Promise((done) => third.on('error', () => {}).once('unexpected-response', (_, { statusCode }) => done(statusCode)).once('open', () => done(101)));
  check(status === 503, `a third one is answered with ${status}`);
  check((await ada.run(() => me.room.metadata)) === 'agenda', 'the metadata is not told');
  await ada.run(() => me.publish());
  await ben.sees('ada');
  return { ada, ben };
}

async function looks(call, { ada, ben }) {
  const { participants } = await call('ListParticipants', { room: 'hall' });
  check(participants.map((one) => one.identity).sort().join() === 'ada,ben', `there are ${JSON.stringify(participants)}`);
  const info = await call('GetParticipant', { room: 'hall', identity: 'ada' });
  check(info.tracks.length === 2 && info.permission.canPublish && info.state === 'ACTIVE', JSON.stringify(info));
  check((await call('GetParticipant', { room: 'hall', identity: 'cleo' })).refused === 'not_found', 'somebody who is not there');
  check((await call('ListParticipants', { room: 'nowhere' })).refused === 'not_found', 'a room that is not there');
  for (const method of ['ForwardParticipant', 'MoveParticipant']) {
    check((await call(method, { room: 'hall', identity: 'ada', destinationRoom: 'yard' })).refused === 'unimplemented', method);
  }
  await call('UpdateRoomMetadata', { room: 'hall', metadata: 'changed' });
  await until('the new metadata is told', async () => (await ben.run(() => me.room.metadata)) === 'changed');
  return info.tracks.find((one) => one.source === 'CAMERA').sid;
}

async function talks(call, { ada, ben }) {
  const got = async (who) => (await who.events('DataReceived')).map((one) => `${one.topic ?? ''}:${one.text}`).join();
  await call('SendData', { room: 'hall', data: base64('from above'), kind: 'RELIABLE', destinationIdentities: ['ben'], topic: 'news' });
  await until('the data comes', async () => (await got(ben)) === 'news:from above');
  await call('SendData', { room: 'hall', data: base64('to all'), kind: 'RELIABLE' });
  await until('it comes to all', async () => (await got(ada)) === ':to all' && /to all/.test(await got(ben)));
  await call('SendData', { room: 'hall', data: base64('in haste'), kind: 'LOSSY' });
  await until('the lossy one comes', async () => /in haste/.test(await got(ada)));

  await ada.run(() => me.room.registerRpcMethod('never', () => new Promise(() => {})));
  const rpc = (method, rest = {}) => call('PerformRpc', { room: 'hall', destinationIdentity: 'ada', method, payload: '[1,2,3]', ...rest });
  check((await rpc('add')).payload === 'server 6', `the call gave ${JSON.stringify(await rpc('add'))}`);
  check((await rpc('subtract')).refused === 'unimplemented', 'a method that is not there');
  check((await rpc('add', { payload: 'nonsense' })).refused === 'unknown', 'a method that fails');
  check((await rpc('never', { responseTimeoutMs: 300 })).refused === 'deadline_exceeded', 'a method that does not end');
  check((await rpc('add', { destinationIdentity: 'cleo' })).refused === 'not_found', 'somebody who is not there');
  check((await rpc('add', { payload: 'x'.repeat(16_000) })).refused === 'invalid_argument', 'a long payload');
}

async function governs(call, { ada, ben }, camera) {
  await call('UpdateSubscriptions', { room: 'hall', identity: 'ben', trackSids: [camera], subscribe: false });
  await until('ben watches no longer', async () => (await ben.events('TrackUnsubscribed')).length === 1);
  await call('UpdateSubscriptions', { room: 'hall', identity: 'ben', trackSids: [camera], subscribe: true });
  await ben.sees('ada');
  check((await call('MutePublishedTrack', { room: 'hall', identity: 'ada', trackSid: camera, muted: true })).track.muted, 'not muted');
  await until('ben is told of the mute', async () => (await ben.events('TrackMuted')).some((one) => one.source === 'camera'));
  await until('ada is told of the mute', async () => ada.run(() => me.room.localParticipant.getTrackPublication('camera').isMuted));
  check((await call('MutePublishedTrack', { room: 'hall', identity: 'ada', trackSid: camera, muted: false })).refused === 'permission_denied', 'unmuted from outside');

  await call('UpdateParticipant', { room: 'hall', identity: 'ada', name: 'Ada L.', metadata: 'chair', attributes: { seat: '1' } });
  await until('ben is told of all', async () => {
    const told = await ben.run(() => { const { name, metadata, attributes } = me.room.remoteParticipants.get('ada'); return { name, metadata, attributes }; });
    return told.name === 'Ada L.' && told.metadata === 'chair' && told.attributes.seat === '1';
  });
  const permission = (canPublish) => call('UpdateParticipant', { room: 'hall', identity: 'ada', permission: { canPublish, canSubscribe: true, canPublishData: true } });
  await permission(false);
  await until('the tracks are taken away', async () => (await ben.roster())[0].tracks.length === 0);
  await until('ada is told of it', async () => ada.run(() => me.room.localParticipant.trackPublications.size === 0 && !me.room.localParticipant.permissions.canPublish));
  const refused = await ada.run(() => me.publish().then(() => '', (error) => error.message));
  check(/permission/i.test(refused), `publishing without the right: ${refused || 'worked'}`);
  await permission(true);
  await until('ada may publish again', () => ada.run(() => me.room.localParticipant.permissions.canPublish));
  await ada.run(() => me.publish());
  await ben.sees('ada');
}

/** Recordings: who is recorded is asked, and what comes of it is told. */
async function records(call, server, data, { ada, ben }) {
  const says = async (identity, agrees) => {
    const headers = { 'content-type': 'application/json', ...bearer(token({ room: 'hall', identity })) };
    const { status } = await fetch(`${server.base}/recordings/hall/answer`, { method: 'POST', headers, body: JSON.stringify({ agrees }) });
    check(status === 202, `the answer of ${identity} gives ${status}`);
  };
  const [roomName, identity] = ['hall', 'ada'];
  const refusals = [
    ['StartRoomCompositeEgress', { roomName, layout: 'grid' }, 'layout'],
    ['StartRoomCompositeEgress', { roomName, fileOutputs: [{ s3: { bucket: 'box' } }] }, 's3'],
    ['StartParticipantEgress', { roomName, identity, streamOutputs: [{ protocol: 'RTMP', urls: ['rtmp://localhost/live'] }] }, 'stream_outputs'],
    ['StartParticipantEgress', { roomName, identity, fileOutputs: [{ fileType: 'MP4' }] }, 'file_type'],
    ['StartTrackEgress', { roomName, trackId: 'TR_any', websocketUrl: 'ws://localhost/' }, 'websocket_url'],
  ];
  for (const [method, asked, field] of refusals) {
    const answer = await call(method, asked);
    check(answer.refused === 'unimplemented' && answer.field === field, `${method} with ${field}: ${JSON.stringify(answer)}`);
  }
  check((await call('StartTrackEgress', { roomName, trackId: 'TR_none' })).refused === 'not_found', 'a track that is not there');
  check((await call('StartRoomCompositeEgress', { roomName: 'nowhere' })).refused === 'not_found', 'a room that is not there');

  const { tracks } = await call('GetParticipant', { room: 'hall', identity });
  const { egressId, status } = await call('StartTrackEgress', { roomName, trackId: tracks.find((one) => one.source === 'MICROPHONE').sid });
  check(egressId?.startsWith('EG_') && (status ?? 'EGRESS_STARTING') === 'EGRESS_STARTING', `begun as ${egressId}, ${status}`);
  check((await call('StartRoomCompositeEgress', { roomName })).refused === 'already_exists', 'a second one begins');
  const one = async () => (await call('ListEgress', { egressId })).items?.[0];
  const comes = (status) => until(status, async () => (await one()).status === status);
  check(((await call('ListEgress', { roomName, active: true })).items ?? []).length === 1, 'it is not listed');
  await says('ada', true);
  await comes('EGRESS_ACTIVE');
  await until('ben is told', () => ben.run(() => me.room.isRecording));
  await sleep(1500);
  await call('StopEgress', { egressId });
  await comes('EGRESS_COMPLETE');
  const { fileResults, startedAt, endedAt, roomId, manifestLocation } = await one();
  const [file] = fileResults;
  check(fileResults.length === 1 && /-microphone\.webm$/.test(file.filename) && file.duration > 1e9 && endedAt > startedAt && roomId.startsWith('RM_'), JSON.stringify(await one()));
  check(Number(file.size) === (await stat(join(data, 'recordings', file.filename))).size, `${file.filename} is not ${file.size} bytes long`);
  check(JSON.parse(await readFile(join(data, 'recordings', manifestLocation))).complete, 'the manifest is not complete');
  check((await call('StopEgress', { egressId })).refused === 'failed_precondition', 'stopped twice');
  await until('ben is told of the end', () => ben.run(() => !me.room.isRecording));

  const all = await call('StartRoomCompositeEgress', { roomName, audioOnly: true, fileOutputs: [{ filepath: 'anywhere' }] });
  await says('ada', false);
  await says('ben', false);
  await until('it is given up', async () => (await call('ListEgress', { egressId: all.egressId })).items[0].status === 'EGRESS_ABORTED');
  check(((await call('ListEgress', { active: true })).items ?? []).length === 0, 'something is still recorded');
}

async function everyMethod(t, by) {
  const data = await mkdtemp(join(tmpdir(), 'althing-data-'));
  t.defer(() => rm(data, { recursive: true, force: true }));
  const server = await startServer(t, { flags: ['--data', data] });
  const call = by(t, server);
  const people = await open(t, server, call);
  const camera = await looks(call, people);
  await talks(call, people);
  await governs(call, people, camera);
  await records(call, server, data, people);
  check((await by(t, server, 'wrong')('ListRooms')).refused === 'unauthenticated', 'a wrong secret lists rooms');
  await call('RemoveParticipant', { room: 'hall', identity: 'ada' });
  await until('ada is sent away', async () => (await people.ada.events('Disconnected'))[0]?.reason === 4);
  await call('DeleteRoom', { room: 'hall' });
  await until('ben is sent away', async () => (await people.ben.events('Disconnected'))[0]?.reason === 5);
  check(((await call('ListRooms')).rooms ?? []).length === 0, 'the room is still there');
  check((await call('DeleteRoom', { room: 'hall' })).refused === 'not_found', 'deleted twice');
}

scenario('api: every method in JSON, by the SDK for Node', { seconds: 120, beside: true }, (t) => everyMethod(t, byJson));
scenario('api: every method in protobuf, by the SDK for Python', { seconds: 120, beside: true }, (t) => everyMethod(t, byProtobuf));

scenario('api: rights, and other services', { seconds: 30, beside: true }, async (t) => {
  const server = await startServer(t);
  const code = (call) => call.then(() => 'nothing', (error) => error.code);
  const room = { room: 'hall' };
  check((await code(plain(server, 'ListParticipants', room, { roomAdmin: false }))) === 'permission_denied', 'no admin');
  check((await code(plain(server, 'ListParticipants', { room: 'yard' }, { room: 'hall' }))) === 'permission_denied', 'the admin of another room');
  check((await code(plain(server, 'PerformRpc', room, { roomAdmin: false }))) === 'permission_denied', 'a call without the right');
  check((await code(plain(server, 'CreateRoom', { name: 'hall' }))) === 'permission_denied', 'made without the right');
  check((await code(plain(server, 'Nothing', room))) === 'bad_route', 'a method that is not there');
  for (const service of ['Ingress/ListIngress', 'SIP/ListSIPTrunk', 'AgentDispatchService/ListDispatch']) {
    const answer = await fetch(`${server.base}/twirp/livekit.${service}`, { method: 'POST', headers: { 'content-type': 'application/json', ...bearer(token({ identity: 'admin', room: '' })) }, body: '{}' });
    check(answer.status === 501 && (await answer.json()).code === 'unimplemented', `${service} gives ${answer.status}`);
  }
  const recordings = (grant, method = 'ListEgress', body = {}) =>
    fetch(`${server.base}/twirp/livekit.Egress/${method}`, { method: 'POST', headers: { 'content-type': 'application/json', ...bearer(token({ identity: 'admin', room: '', grant })) }, body: JSON.stringify(body) });
  check((await recordings({ roomAdmin: true })).status === 403, 'recordings are listed without the right');
  check((await recordings({ roomRecord: true })).status === 200, 'recordings are not listed');
  check((await recordings({ roomRecord: true, room: 'yard' }, 'StartRoomCompositeEgress', { roomName: 'hall' })).status === 403, 'the right for another room is enough');
  check((await recordings({ roomRecord: true }, 'StartWebEgress', { url: 'http://localhost/' })).status === 501, 'a page is recorded');
  const long = JSON.stringify({ room: 'hall', metadata: 'x'.repeat(1_000_000) });
  const headers = { 'content-type': 'application/json', ...bearer(token({ identity: 'admin', room: 'hall', grant: { roomAdmin: true } })) };
  const answer = await fetch(`${server.base}/twirp/livekit.RoomService/UpdateRoomMetadata`, { method: 'POST', headers, body: long });
  check(answer.status === 429 && answer.headers.get('connection') === 'close', `a long call gives ${answer.status}`);
});

scenario('api: a room as its first token wants it, and messages as JSON', { seconds: 30, beside: true }, async (t) => {
  const server = await startServer(t);
  const open = (identity, roomConfig) =>
    new WebSocket(`${server.base.replace('http', 'ws')}/rtc/v1?join_request=&access_token=${token({ room: 'planned', identity, roomConfig })}`);
  const status = (socket) => new Promise((done) => socket.on('error', () => {}).once('unexpected-response', (_, { statusCode }) => done(statusCode)).once('open', () => done(101)));
  check((await status(open('nobody', { maxParticipants: 'many' }))) === 400, 'a roomConfig that cannot be read is taken');
  const ada = open('ada', { emptyTimeout: 60, departureTimeout: '5', maxParticipants: 1, metadata: 'agenda', agents: [] });
  t.defer(() => ada.terminate());
  const frames = [];
  ada.on('message', (data, binary) => frames.push(binary ? {} : JSON.parse(data)));
  check((await status(ada)) === 101, 'the first one is not let in');
  // Somebody who comes later changes nothing, and there is room for one only.
  const ben = open('ben', { maxParticipants: 9, metadata: 'mine' });
  check((await status(ben)) === 503, 'a second one is let in');
  const { rooms } = await byJson(t, server)('ListRooms');
  const [{ metadata, emptyTimeout, departureTimeout, maxParticipants }] = rooms;
  check(metadata === 'agenda' && emptyTimeout === 60 && departureTimeout === 5 && maxParticipants === 1, `made ${JSON.stringify(rooms)}`);
  ada.send(JSON.stringify({ pingReq: { timestamp: '7' }, somethingNew: true }));
  await until('an answer as JSON', () => frames.some((one) => one.pongResp?.lastPingTimestamp === '7'));
  const closed = new Promise((done) => ada.once('close', done));
  ada.send('{ this is no JSON');
  await closed;
  check(frames.some((one) => one.leave?.reason === 'STATE_MISMATCH'), `told ${JSON.stringify(frames)}`);
});
