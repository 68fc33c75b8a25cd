// Other programs that take part: Python scripts with aiortc, ffmpeg. Each is ended by its own id.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bounded } from './runner.mjs';
import { follow } from './server.mjs';

const PYTHON = process.env.ALTHING_PYTHON ?? fileURLToPath(new URL('../../target/e2e/venv/bin/python', import.meta.url));
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
