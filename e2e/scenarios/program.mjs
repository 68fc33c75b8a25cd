// The program itself: how it starts, what it refuses, how it ends.

import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, scenario, until } from '../lib/runner.mjs';
import { PROGRAM, bearer, startServer } from '../lib/server.mjs';

const run = (...args) => spawnSync(PROGRAM, args, { encoding: 'utf8', timeout: 15_000 });

scenario('program: starts, answers, says where, ends', { seconds: 30 }, async (t) => {
  const start = performance.now();
  const server = await startServer(t);
  t.measured('ready after ms', Math.round(performance.now() - start));
  check(/^http:\/\/localhost:\d+$/.test(server.base), `the address is ${server.base}`);
  check((await (await fetch(`${server.base}/healthz`)).text()) === 'ok\n', 'not healthy');
  const page = await fetch(server.base);
  check(page.ok && /frame-ancestors 'none'/.test(page.headers.get('content-security-policy')), 'the page has no policy');
  const made = await fetch(`${server.base}/dev/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ room: 'hall', name: 'Anna', publish: true }) });
  const { token } = await made.json();
  check((await fetch(`${server.base}/rooms/hall`, { headers: bearer(token) })).ok, 'the page cannot use its token');
  const rebound = await fetch(`${server.base}/dev/token`, { method: 'POST', headers: { 'content-type': 'application/json', host: 'evil.example' }, body: '{}' });
  check(!rebound.ok, 'a page of another name got a token');
  const ended = performance.now();
  await server.stop();
  t.measured('ended after ms', Math.round(performance.now() - ended));
});

scenario('program: a token from the terminal lets in', { seconds: 30 }, async (t) => {
  const server = await startServer(t);
  const made = run('token', '--room', 'hall', '--identity', 'anna', '--watch');
  check(made.status === 0, made.stderr);
  const answer = await fetch(`${server.base}/rooms/hall`, { headers: bearer(made.stdout.trim()) });
  check(answer.ok, `the token is answered with ${answer.status}`);
  check(run('token', '--room', 'hall', '--identity', 'anna', '--key', 'nobody').status === 1, 'an unknown key makes tokens');
});

scenario('program: --dev prints tokens that are ready to use', { seconds: 30 }, async (t) => {
  const server = await startServer(t, { flags: ['--dev'] });
  const printed = (pattern) => server.lines.map((line) => line.match(pattern)?.[1]).filter(Boolean);
  const tokens = await until('two tokens are printed', () => { const found = printed(/^  token  (\S+)$/); return found.length === 2 && found; });
  check(server.lines.some((line) => /key devkey, secret secret/.test(line) && line.includes(server.base.replace('http', 'ws'))), 'the key or the address is not told');
  check(printed(/^  page   (\S+)$/).join() === tokens.map((token) => `${server.base}/#token=${token}`).join(), 'the links are not those of the tokens');
  for (const token of tokens) {
    check((await fetch(`${server.base}/rtc/v1/validate?access_token=${token}&join_request=`)).ok, 'a token does not let in');
    check((await fetch(`${server.base}/rooms/dev`, { headers: bearer(token) })).ok, 'the room is another');
  }
});

scenario('program: a page of one’s own', { seconds: 30 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'althing-page-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>Ours</title>');
  const server = await startServer(t, { flags: ['--page', folder] });
  const first = await fetch(server.base);
  check(/Ours/.test(await first.text()), 'it is not our page');
  const again = await fetch(server.base, { headers: { 'if-none-match': first.headers.get('etag') } });
  check(again.status === 304, `what is known is answered with ${again.status}`);
  check((await fetch(`${server.base}/js/app.js`)).status === 404, 'the page of the program shines through');
  check((await fetch(`${server.base}/..%2f..%2fetc/passwd`)).status === 404, 'a file outside the folder is served');
});

scenario('program: what it refuses, and how it says so', { seconds: 60 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'althing-config-'));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const server = await startServer(t);
  const { port } = new URL(server.base);
  const refuse = async (what, args, config, ...words) => {
    if (config !== undefined) {
      await writeFile(join(folder, 'althing.toml'), config);
      args = ['--config', join(folder, 'althing.toml'), ...args];
    }
    const { status, stderr } = run('--listen', '127.0.0.1:0', '--udp-port', '0', '--tcp-port', '0', ...args);
    check(status === 1, `${what}: ended with ${status}`);
    check(stderr.trim().split('\n').length === 1, `${what}: more than one line: ${stderr}`);
    for (const word of words) check(stderr.includes(word), `${what}: ${word} is missing in: ${stderr}`);
    t.note(stderr.trim());
  };
  await refuse('an unknown key', [], '[media]\nudp_prot = 1\n', 'udp_prot', 'line 2');
  await refuse('a wrong type', [], '[media]\nadvertise = "203.0.113.5"\n', 'media.advertise', 'sequence');
  await refuse('no TOML', [], 'hello', 'line 1');
  await refuse('no file', ['--config', join(folder, 'nothing.toml')], undefined, 'nothing.toml');
  await refuse('an open door with the known key', [], '[media]\nlisten = ["0.0.0.0"]\n', '[keys]', 'key of your own');
  await refuse('a short secret', [], '[media]\nlisten = ["0.0.0.0"]\n[keys]\nhall = "short"\n', 'hall', '32');
  await refuse('--dev with keys of its own', ['--dev'], `[keys]\nhall = "${'s'.repeat(32)}"\n`, '--dev', '[keys]');
  await refuse('--dev where others can reach it', ['--dev'], '[media]\nlisten = ["0.0.0.0"]\n', 'key of your own');
  await refuse('a webhook to nowhere', [], '[webhooks]\nurls = ["nowhere"]\n', 'webhooks', 'nowhere');
  await refuse('a webhook without its key', [], '[webhooks]\nurls = ["http://localhost:1/"]\nkey = "nobody"\n', 'webhooks', 'nobody');
  await refuse('an empty door', [], '[[rtp_in]]\nroom = "hall"\nidentity = "x"\n', 'rtp_in[0]');
  await refuse('no folder of a page', ['--page', join(folder, 'nowhere')], undefined, 'nowhere', 'folder of the page');
  await refuse('a folder without a page', [], `page = "${folder}"\n`, folder, 'index.html');
  const taken = run('--listen', `127.0.0.1:${port}`, '--udp-port', '0', '--tcp-port', '0');
  check(taken.status === 1 && /in use/.test(taken.stderr), `a port in use: ${taken.status} ${taken.stderr}`);
  const help = run('--help');
  check(help.status === 0 && ['--config', '--listen', '--advertise', '--dev', 'devkey', 'token'].every((word) => help.stdout.includes(word)), 'the help is not complete');
});
