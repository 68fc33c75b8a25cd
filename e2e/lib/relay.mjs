// A bad network between browsers and the server: the test kit's relay, ended by its own id.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { bounded, check } from './runner.mjs';
import { follow } from './server.mjs';

const PROGRAM = process.env.ALTHING_RELAY ?? new URL('../../target/debug/relay', import.meta.url).pathname;

/** A UDP port that is free now. */
export async function freePort() {
  const socket = createSocket('udp4');
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  const { port } = socket.address();
  await new Promise((done) => socket.close(done));
  return port;
}

/** A UDP port that is free now, even, with the next one free as well: RTP and RTCP. */
export async function freePair() {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = 2 * Math.floor((await freePort()) / 2);
    const sockets = [createSocket('udp4'), createSocket('udp4')];
    const bound = await Promise.all(sockets.map((socket, index) => new Promise((done) => {
      socket.once('error', () => done(false));
      socket.bind(port + index, '127.0.0.1', () => done(true));
    })));
    await Promise.all(sockets.map((socket, index) => bound[index] && new Promise((done) => socket.close(done))));
    if (bound.every(Boolean)) return port;
  }
  throw new Error('no two free ports side by side');
}

/** Starts a relay to a UDP port; `weather` as its flags: `['--loss', '5%']`. Gives its port and a way to change the
 * weather. Both are at `host`. */
export async function startRelay(t, to, weather, host = '127.0.0.1') {
  const port = await freePort();
  const args = ['--listen', `${host}:${port}`, '--to', `${host}:${to}`, ...weather];
  const child = spawn(PROGRAM, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise((done) => child.once('exit', done));
  const ready = new Promise((done, fail) => {
    child.once('error', fail);
    ended.then((code) => fail(new Error(`the relay ended with ${code}`)));
    follow(child.stdout, (line) => {
      t.note(`relay: ${line}`);
      done();
    });
  });
  ready.catch(() => {});
  follow(child.stderr, (line) => t.note(`relay: ${line}`));
  t.defer(async () => {
    child.stdin.end();
    const kill = setTimeout(() => child.kill('SIGKILL'), 3000);
    const code = await ended;
    clearTimeout(kill);
    t.after(() => check(code === 0, `the relay ended with ${code}`));
  });
  await bounded(ready, 10_000, 'starting the relay');
  return { port, say: (line) => child.stdin.write(`${line}\n`) };
}
