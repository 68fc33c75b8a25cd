// The server under test: started on free ports, ended by its own id.

import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bounded, check } from './runner.mjs';

/** The program. */
export const PROGRAM = process.env.ALTHING_SERVER ?? new URL('../../target/debug/conference', import.meta.url).pathname;

/** A running server; `t` ends it and checks that it ends well. Gives its address, and what it said. */
export async function startServer(t, { flags = [], key = {}, env = {} } = {}) {
  const free = ['--udp-port', '--tcp-port'].filter((flag) => !flags.includes(flag)).flatMap((flag) => [flag, '0']);
  const args = [...(flags.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']), ...free, ...flags];
  const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', ...env } });
  const lines = [];
  let problem;
  const ended = new Promise((done) => child.once('exit', (code, signal) => done({ code, signal })));
  const ready = new Promise((done, fail) => {
    child.once('error', fail);
    ended.then(({ code, signal }) => fail(new Error(`the server ended (${code ?? signal}): ${lines.slice(-5).join(' | ')}`)));
    follow(child.stdout, (line) => {
      lines.push(line);
      const found = line.match(/^Althing is ready at (http:\S+)$/);
      if (found) done(found[1]);
    });
    follow(child.stderr, (line) => {
      lines.push(line);
      if (/panicked/.test(line)) problem = line;
      t.note(`server: ${line}`);
    });
  });
  ready.catch(() => {});
  let stopping;
  const stop = () => (stopping ??= end());
  const end = async () => {
    const start = performance.now();
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), 5000);
    const { code, signal } = await ended;
    clearTimeout(kill);
    const took = performance.now() - start;
    t.after(() => {
      check(!problem, `the server panicked: ${problem}`);
      check(code === 0, `the server ended with ${code ?? signal}`);
      check(took < 3000, `the server needed ${Math.round(took)} ms to stop`);
    });
  };
  t.defer(stop);
  const base = await bounded(ready, 20_000, 'starting the server');
  return {
    base,
    key,
    lines,
    pid: child.pid,
    stop,
    stats: async () => (await fetch(`${base}/stats`)).json(),
    room: async (room) => (await fetch(`${base}/rooms/${room}`, { headers: bearer(token({ room, identity: 'observer', ...key })) })).json(),
  };
}

/** An access token, made here so that the server's own maker is not both judge and party. */
export function token({ room, identity, seconds = 600, grant = {}, key = 'devkey', secret = 'secret', ...claims }) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = { iss: key, sub: identity, nbf: now - 10, exp: now + seconds, video: { roomJoin: true, room, ...grant }, ...claims };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** The header that carries a token. */
export const bearer = (value) => ({ authorization: `Bearer ${value}` });

/** Calls `each` for every line of a stream. */
export function follow(stream, each) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    lines.forEach(each);
  });
}

/** A server with a file of settings. */
export async function startServerWith(t, settings, options = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'althing-server-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'althing.toml');
  await writeFile(file, settings);
  return startServer(t, { ...options, flags: ['--config', file, ...(options.flags ?? [])] });
}

/** The server on the machine's own network address, with a key of its own: for browsers that do not use loopback. */
export async function startOpenServer(t, { flags = [], key = { key: 'hall', secret: randomBytes(24).toString('hex') } } = {}) {
  const address = Object.values(networkInterfaces()).flat().find((one) => one.family === 'IPv4' && !one.internal)?.address;
  if (!address) return undefined;
  return startServerWith(t, `[media]\nlisten = ["${address}"]\n[keys]\n${key.key} = "${key.secret}"\n`, { flags, key });
}
