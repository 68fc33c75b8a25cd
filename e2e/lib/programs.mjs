// Other programs that take part: Python and Node scripts, ffmpeg. Each is ended by its own id.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bounded } from './runner.mjs';
import { follow } from './server.mjs';

/** The Python with the packages that the tests need. */
export const PYTHON = process.env.ALTHING_PYTHON ?? fileURLToPath(new URL('../../target/e2e/venv/bin/python', import.meta.url));
const SCRIPTS = fileURLToPath(new URL('../py/', import.meta.url));

/** Starts a program; `t` ends it if it is still there. `done` gives its exit code, `said` its lines. */
export function start(t, program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  const done = new Promise((resolve, fail) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
    child.once('error', fail);
  });
  done.catch(() => {});
  follow(child.stdout, (line) => said.push(line));
  follow(child.stderr, (line) => t.note(`${program.split('/').pop()}: ${line}`));
  t.defer(async () => {
    child.kill('SIGKILL');
    await done;
  });
  return { said, done };
}

/** Runs one of our Python scripts to its end; gives the facts that it told, all in one. */
export async function python(t, script, args, seconds) {
  const { said, done } = start(t, PYTHON, [`${SCRIPTS}${script}`, ...args.map(String)]);
  const code = await bounded(done, seconds * 1000, script);
  t.note(`${script}: ${said.join(' ')}`);
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return Object.assign({}, ...said.map((line) => JSON.parse(line)));
}

/**
 * Starts a program that takes commands as lines of JSON and answers each; `t` ends it. `ask(op, args)` gives the answer's
 * value.
 */
export function converse(t, program, args) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting = new Map();
  let ended;
  const done = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  done.then((code) => {
    ended = new Error(`${args[0]} ended with ${code}`);
    for (const [, fail] of waiting.values()) fail(ended);
  });
  child.stdin.on('error', () => {});
  follow(child.stdout, (line) => {
    const told = line.startsWith('{"id"') ? JSON.parse(line) : undefined;
    if (!told) return t.note(`${args[0].split('/').pop()}: ${line}`);
    const [pass, fail] = waiting.get(told.id);
    waiting.delete(told.id);
    if ('error' in told) fail(new Error(told.error));
    else pass(told.value);
  });
  follow(child.stderr, (line) => t.note(`${args[0].split('/').pop()}: ${line}`));
  t.defer(async () => {
    child.stdin.end();
    const kill = setTimeout(() => child.kill('SIGKILL'), 3000);
    await done;
    clearTimeout(kill);
  });
  let last = 0;
  const ask = (op, rest = {}) => bounded(new Promise((pass, fail) => {
    if (ended) return fail(ended);
    last += 1;
    waiting.set(last, [pass, fail]);
    child.stdin.write(`${JSON.stringify({ id: last, op, ...rest })}\n`);
  }), 30_000, op);
  return { ask };
}
