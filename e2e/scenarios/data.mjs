// Data channels of browsers against the echo example: what JavaScript sends comes back as it was.

import { spawn } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { freePort, startRelay } from '../lib/relay.mjs';
import { bounded, check, scenario } from '../lib/runner.mjs';
import { follow } from '../lib/server.mjs';

const PROGRAM = process.env.ALTHING_ECHO ?? new URL('../../target/debug/examples/echo', import.meta.url).pathname;

// Firefox sends nothing to loopback but HTTP: the datagrams go to an address of this machine.
const OWN = Object.values(networkInterfaces()).flat().find((one) => one.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1';

/** Starts the example; `t` ends it. Gives its address and the port of its datagrams. */
async function startEcho(t) {
  const port = await freePort();
  const child = spawn(PROGRAM, ['127.0.0.1:0', `${OWN}:${port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((done) => child.once('exit', done));
  const ready = new Promise((done, fail) => {
    child.once('error', fail);
    ended.then((code) => fail(new Error(`the example ended with ${code}`)));
    follow(child.stdout, (line) => {
      t.note(`echo: ${line}`);
      if (line.startsWith('http')) done(line.split(' ')[0]);
    });
  });
  ready.catch(() => {});
  follow(child.stderr, (line) => t.note(`echo: ${line}`));
  t.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { base: await bounded(ready, 10_000, 'the example'), port };
}

/** In the page: a connection to the example, by way of another port when `port` is given. */
const helpers = async ({ port }) => {
  const connect = async (prepare) => {
    const connection = new RTCPeerConnection();
    const channels = prepare(connection);
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete') {
      await new Promise((done) => connection.addEventListener('icegatheringstatechange', done, { once: true }));
    }
    const response = await fetch('/offer', { method: 'POST', body: connection.localDescription.sdp });
    let sdp = await response.text();
    if (!response.ok) throw new Error(sdp);
    if (port) sdp = sdp.replace(/^(a=candidate:\S+ 1 udp \d+ \S+) \d+/gim, `$1 ${port}`);
    await connection.setRemoteDescription({ type: 'answer', sdp });
    return { connection, channels, answer: sdp };
  };
  const opened = (channel) => channel.readyState === 'open' ? undefined : new Promise((done, fail) => {
    channel.addEventListener('open', done, { once: true });
    setTimeout(() => fail(new Error(`${channel.label} does not open`)), 15_000);
  });
  /** Sends `messages` and waits for as many, at most `ms`. */
  const echo = async (channel, messages, ms = 30_000) => {
    channel.binaryType = 'arraybuffer';
    const got = [];
    const all = new Promise((done) => {
      channel.onmessage = ({ data }) => {
        got.push(data);
        if (got.length === messages.length) done();
      };
    });
    channel.bufferedAmountLowThreshold = 1 << 18;
    for (const message of messages) {
      if (channel.bufferedAmount > 1 << 20) {
        await new Promise((done) => channel.addEventListener('bufferedamountlow', done, { once: true }));
      }
      channel.send(message);
    }
    await Promise.race([all, new Promise((done) => setTimeout(done, ms))]);
    return got;
  };
  const bytes = (length, seed) => {
    const data = new Uint8Array(length);
    for (let index = 0, state = seed + 1; index < length; index += 1) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      data[index] = state >>> 16;
    }
    return data;
  };
  const same = (one, two) => typeof one === 'string'
    ? one === two
    : two instanceof ArrayBuffer && one.length === two.byteLength && new Uint8Array(two).every((byte, index) => byte === one[index]);
  globalThis.kit = { connect, opened, echo, bytes, same };
};

const BROWSERS = { chromium: openChromium, firefox: openFirefox };

for (const [name, open] of Object.entries(BROWSERS)) {
  scenario(`data: ${name}, every kind of channel and message`, { seconds: 120, beside: true }, async (t) => {
    const { base } = await startEcho(t);
    const page = await (await open(t)).page(base);
    await page.run(helpers, {});
    const told = await page.run(async () => {
      const { connect, opened, echo, bytes, same } = globalThis.kit;
      let hello;
      const { connection, channels, answer } = await connect((connection) => {
        hello = new Promise((done) => {
          connection.ondatachannel = ({ channel }) => {
            channel.onmessage = ({ data }) => done(`${channel.label}: ${data} ${channel.ordered}`);
          };
        });
        return [
          connection.createDataChannel('reliable', { protocol: 'test' }),
          connection.createDataChannel('unordered', { ordered: false }),
          connection.createDataChannel('retransmits', { ordered: false, maxRetransmits: 3 }),
          connection.createDataChannel('lifetime', { maxPacketLifeTime: 5000 }),
        ];
      });
      const messages = ['grüß dich', '', 'x'.repeat(5000), bytes(1, 1), bytes(0, 0), bytes(1200, 2), bytes(64_000, 3), bytes(65_535, 4)];
      const results = {};
      for (const channel of channels) {
        await opened(channel);
        const got = await echo(channel, messages);
        const found = messages.filter((message) => got.some((one) => same(message, one)));
        const inOrder = messages.every((message, index) => same(message, got[index]));
        results[channel.label] = { got: got.length, found: found.length, inOrder };
      }
      // One more after all is set up, closed by the page.
      const late = connection.createDataChannel('late');
      await opened(late);
      results.late = (await echo(late, ['still here'])).length;
      const closed = new Promise((done) => { late.onclose = () => done('closed'); });
      late.close();
      results.closed = await Promise.race([closed, new Promise((done) => setTimeout(done, 5000))]);
      const again = connection.createDataChannel('again');
      await opened(again);
      results.again = (await echo(again, ['once more'])).length;
      results.hello = await Promise.race([hello, new Promise((done) => setTimeout(done, 5000))]);
      results.section = answer.split('\r\n').filter((line) => /^m=|sctp|max-message/.test(line));
      results.limit = connection.sctp.maxMessageSize;
      connection.close();
      return results;
    });
    t.note(JSON.stringify(told));
    for (const label of ['reliable', 'lifetime']) check(told[label].inOrder, `${label}: ${JSON.stringify(told[label])}`);
    for (const label of ['unordered', 'retransmits']) check(told[label].found === 8, `${label}: ${JSON.stringify(told[label])}`);
    check(told.late === 1 && told.closed === 'closed' && told.again === 1, `late: ${JSON.stringify(told)}`);
    check(told.hello === 'hello: hello true', `the server's channel: ${told.hello}`);
    check(told.limit >= 65_535, `messages of ${told.limit} bytes`);
  });

  scenario(`data: ${name}, 2 MB and 2000 small messages through a bad network`, { seconds: 180, beside: true }, async (t) => {
    const { base, port } = await startEcho(t);
    const relay = await startRelay(t, port, ['--loss', '3%', '--delay', '20ms'], OWN);
    const page = await (await open(t)).page(base);
    await page.run(helpers, { port: relay.port });
    const told = await page.run(async () => {
      const { connect, opened, echo, bytes, same } = globalThis.kit;
      const { connection, channels } = await connect((connection) => [
        connection.createDataChannel('files'),
        connection.createDataChannel('lossy', { ordered: false, maxRetransmits: 0 }),
      ]);
      const [files, lossy] = channels;
      await opened(files);
      await opened(lossy);
      const large = Array.from({ length: 40 }, (_, index) => bytes(60_000, index));
      const start = performance.now();
      const gotLarge = await echo(files, large, 90_000);
      const ms = performance.now() - start;
      const small = Array.from({ length: 2000 }, (_, index) => `message ${index}`);
      const gotSmall = await echo(files, small, 30_000);
      const quick = [];
      lossy.onmessage = ({ data }) => quick.push(data);
      for (let index = 0; index < 500; index += 1) {
        lossy.send(`${index}`);
        await new Promise((done) => setTimeout(done, 2));
      }
      await new Promise((done) => setTimeout(done, 2000));
      connection.close();
      return {
        large: gotLarge.length === 40 && large.every((message, index) => same(message, gotLarge[index])),
        ms: Math.round(ms),
        small: gotSmall.length === 2000 && small.every((message, index) => message === gotSmall[index]),
        quick: quick.length,
        twice: quick.length - new Set(quick).size,
      };
    });
    t.measured('2.4 MB there and back ms', told.ms);
    check(told.large && told.small, `lost or changed: ${JSON.stringify(told)}`);
    check(told.quick > 350 && told.quick < 500 && told.twice === 0, `lossy: ${told.quick} of 500, ${told.twice} twice`);
  });
}
