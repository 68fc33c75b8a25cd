// Bad input: each gets its status and one sentence, and disturbs nobody.

import { createSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { openChromium } from '../lib/browsers.mjs';
import { publish, watch } from '../lib/people.mjs';
import { freePort } from '../lib/relay.mjs';
import { check, scenario, sleep } from '../lib/runner.mjs';
import { bearer, startServer, token } from '../lib/server.mjs';

const OFFER = [
  'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=sendonly', 'a=rtcp-mux', 'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789012345678901', 'a=setup:actpass', 'a=rtpmap:111 opus/48000/2',
  `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}`, '',
].join('\r\n');

scenario('refusals: status codes', { seconds: 40 }, async (t) => {
  const server = await startServer(t);
  const good = token({ room: 'hall', identity: 'eve' });
  const sdp = { 'content-type': 'application/sdp' };
  const fragment = { 'content-type': 'application/trickle-ice-sdpfrag' };
  const ask = async (what, status, method, path, { auth = good, headers = sdp, body } = {}) => {
    const response = await fetch(`${server.base}${path}`, { method, headers: { ...(auth && bearer(auth)), ...headers }, body });
    const text = await response.text();
    check(response.status === status, `${what}: ${response.status} instead of ${status}: ${text}`);
    if (status >= 400) {
      check(text.length > 10 && text.length < 300 && !text.trim().includes('\n'), `${what}: not one sentence: ${JSON.stringify(text)}`);
      t.note(`${status} ${what}: ${text.trim()}`);
    }
    return response;
  };
  await ask('no token', 401, 'POST', '/whip/hall', { auth: '', body: OFFER });
  await ask('nonsense for a token', 401, 'POST', '/whip/hall', { auth: 'nonsense', body: OFFER });
  await ask('a forged token', 401, 'POST', '/whip/hall', { auth: token({ room: 'hall', identity: 'eve', secret: 'other' }), body: OFFER });
  await ask('an expired token', 401, 'POST', '/whip/hall', { auth: token({ room: 'hall', identity: 'eve', seconds: -3600 }), body: OFFER });
  await ask('an unknown key', 401, 'POST', '/whip/hall', { auth: token({ room: 'hall', identity: 'eve', key: 'nobody' }), body: OFFER });
  await ask('another room', 403, 'POST', '/whip/garden', { body: OFFER });
  await ask('not allowed to publish', 403, 'POST', '/whip/hall', { auth: token({ room: 'hall', identity: 'eve', grant: { canPublish: false } }), body: OFFER });
  await ask('not allowed to watch', 403, 'POST', '/whep/hall', { auth: token({ room: 'hall', identity: 'eve', grant: { canSubscribe: false } }), body: OFFER.replace('sendonly', 'recvonly') });
  await ask('no SDP', 400, 'POST', '/whip/hall', { body: 'hello' });
  await ask('SDP without a fingerprint', 400, 'POST', '/whip/hall', { body: OFFER.replace(/a=fingerprint.*\r\n/, '') });
  await ask('SDP without ICE', 400, 'POST', '/whip/hall', { body: OFFER.replace(/a=ice.*\r\n/g, '') });
  await ask('an empty body', 400, 'POST', '/whip/hall', { body: '' });
  await ask('another type', 415, 'POST', '/whip/hall', { headers: { 'content-type': 'text/plain' }, body: OFFER });
  await ask('a body over the limit', 413, 'POST', '/whip/hall', { body: OFFER + 'a=x\r\n'.repeat(200_000) });
  await ask('an unknown session', 404, 'DELETE', '/whip/hall/nothing');
  await ask('an unknown session', 404, 'PATCH', '/whip/hall/nothing', { headers: { ...fragment, 'if-match': '*' }, body: 'a=ice-ufrag:x\r\n' });
  await ask('a method that is not there', 405, 'PUT', '/whip/hall', { body: OFFER });
  const created = await ask('a good offer', 201, 'POST', '/whip/hall', { body: OFFER });
  const session = created.headers.get('location');
  check(created.headers.get('etag') && created.headers.get('content-type') === 'application/sdp', 'headers are missing');
  await ask('a stranger ends it', 403, 'DELETE', session, { auth: token({ room: 'hall', identity: 'mallory' }) });
  await ask('a PATCH without If-Match', 428, 'PATCH', session, { headers: fragment, body: 'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n' });
  await ask('a PATCH with an old tag', 412, 'PATCH', session, { headers: { ...fragment, 'if-match': '"old"' }, body: 'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n' });
  await ask('its end', 200, 'DELETE', session);
  await ask('its end again', 404, 'DELETE', session);
  await ask('a stranger reads the room', 403, 'GET', '/rooms/garden');
  const options = await ask('OPTIONS', 200, 'OPTIONS', '/whip/hall', { auth: '' });
  check(options.headers.get('access-control-allow-origin') === '*', 'no CORS');
  const missing = await fetch(`${server.base}/nothing`);
  check(missing.status === 404, `an unknown page is ${missing.status}`);
  const stats = await server.stats();
  check(stats.sessions === 0 && stats.participants === 0, 'a refused or ended session was left behind');
});

scenario('refusals: floods of garbage disturb nobody', { seconds: 80 }, async (t) => {
  const udp = await freePort();
  const server = await startServer(t, { flags: ['--udp-port', String(udp)] });
  await publish(t, await openChromium(t), server, 'hall');
  const watcher = await watch(t, await openChromium(t), server, 'hall');
  const before = await server.stats();
  const sockets = await Promise.all(Array.from({ length: 8 }, async () => {
    const socket = createSocket('udp4');
    await new Promise((done) => socket.bind(0, '127.0.0.1', done));
    return socket;
  }));
  t.defer(() => sockets.forEach((socket) => socket.close()));
  const kinds = [[0x00, 0x01], [0x16, 0xfe], [0x80, 0x60], [0x80, 0xc8], [0x14, 0x00], [0xff, 0xff]];
  let sent = 0;
  let flooding = true;
  const flood = (async () => {
    while (flooding) {
      for (const socket of sockets) for (const kind of kinds) {
        socket.send(Buffer.concat([Buffer.from(kind), randomBytes(20 + Math.floor(Math.random() * 900))]), udp, '127.0.0.1');
        sent += 1;
      }
      await sleep(10);
    }
  })();
  const seen = await watcher.observe(6);
  flooding = false;
  await flood;
  const after = await server.stats();
  const total = (stats) => stats.routers.reduce((sum, one) => sum + Object.values(one.drops).reduce((all, count) => all + count, 0), 0);
  t.measured('garbage sent', sent);
  t.measured('dropped', total(after) - total(before));
  t.measured('longest gap ms', Math.round(seen.longestGap));
  t.note(JSON.stringify(after));
  check(seen.decoded > 120, `only ${seen.decoded} frames in 6 s`);
  check(seen.longestGap < 500, `the picture stood still for ${Math.round(seen.longestGap)} ms`);
  check(total(after) - total(before) > sent / 4, 'the garbage was not counted');
  const state = (stats) => stats.routers.map((one) => [one.endpoints, one.routes, one.tracks, one.subscriptions]).join();
  check(state(after) === state(before), `the garbage changed the state: ${state(before)} became ${state(after)}`);
});
