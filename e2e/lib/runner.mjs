// A small test runner: scenarios run one after another, each with a time bound and a list of things to close.
//
// Prints one line per scenario, and as its last line the counts that `cargo xtask` reads:
// `e2e result: N passed; N failed; N skipped`.

const scenarios = [];

/** So many failed scenarios get a second run; more than that is no accident of a busy machine. */
const SECOND_RUNS = 8;

/**
 * Registers a scenario: `body(t)` throws when something is wrong. `seconds` bounds it. Those that are `beside` are not judged by the clock:
 * they run one after another beside the others. What is `named` runs only when a word names it.
 */
export function scenario(name, { seconds = 60, beside = false, named = false } = {}, body) {
  scenarios.push({ name, seconds, beside, named, body });
}

/** What a scenario is given. */
class Test {
  #closers = [];
  #checks = [];
  notes = [];
  figures = {};

  /** Runs `close` when the scenario is over, in the opposite order of the calls. */
  defer(close) {
    this.#closers.push(close);
  }

  /** A check on how something ended: made after everything is closed; called while closing. */
  after(check) {
    this.#checks.push(check);
  }

  /** Something that is worth reading when the scenario fails. */
  note(text) {
    if (this.notes.length < 200) this.notes.push(text);
  }

  /** A measured figure, printed beside the result. */
  measured(name, value) {
    this.figures[name] = value;
  }

  async close() {
    for (const close of this.#closers.reverse()) {
      try {
        await bounded(Promise.resolve(close()), 10_000, 'closing');
      } catch (error) {
        this.note(`while closing: ${error.message}`);
      }
    }
    this.#closers = [];
    for (const check of this.#checks) check();
  }
}

/** Fails when `promise` takes longer than `ms`. */
export async function bounded(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `check()` gives something true, and gives it back. */
export async function until(what, check, ms = 10_000, every = 50) {
  const end = performance.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${ms / 1000} s: ${what}`);
    await sleep(every);
  }
}

/** Waits. */
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Fails with `text` unless `fact`. */
export function check(fact, text) {
  if (!fact) throw new Error(text);
}

/**
 * Runs all scenarios whose name contains one of `words` (all, without words). Gives the exit code.
 *
 * Pictures and sound are judged by the clock, and so is the machine that they run on. What fails beside other work is run once
 * more with nothing beside it; if it passes then it counts as passed, and the last line names it as unsteady.
 */
export async function runAll(words) {
  const wanted = scenarios.filter(({ name, named }) => (words.length === 0 && !named) || words.some((word) => name.includes(word)));
  const results = [];
  const lane = async (lane) => {
    for (const one of lane) results.push({ ...one, result: await runOne(one) });
  };
  await Promise.all([lane(wanted.filter((one) => !one.beside)), lane(wanted.filter((one) => one.beside))]);
  const failed = results.filter((one) => one.result === 'failed');
  if (failed.length <= SECOND_RUNS) for (const one of failed) one.result = await runOne({ ...one, name: `${one.name} (second run)` });
  const unsteady = failed.filter((one) => one.result === 'passed').map((one) => one.name);
  const count = (result) => results.filter((one) => one.result === result).length;
  const counts = `${count('passed')} passed; ${count('failed')} failed; ${count('skipped')} skipped`;
  console.log(`e2e result: ${counts}${unsteady.length > 0 ? `; unsteady: ${unsteady.join(', ')}` : ''}`);
  return count('failed') > 0 || count('passed') === 0 ? 1 : 0;
}

/** Thrown by a scenario that cannot be shown on this machine. */
class Skip extends Error {}

/** Ends a scenario that cannot be shown on this machine; says why. */
export function skip(why) {
  throw new Skip(why);
}

async function runOne({ name, seconds, body }) {
  const t = new Test();
  const start = performance.now();
  let problem;
  try {
    await bounded(body(t), seconds * 1000, 'the scenario');
  } catch (error) {
    problem = error;
  }
  try {
    await t.close();
  } catch (error) {
    problem ??= error;
  }
  const took = ((performance.now() - start) / 1000).toFixed(1);
  if (problem instanceof Skip) {
    console.log(`skip  ${name} (${problem.message})`);
    return 'skipped';
  }
  const figures = Object.entries(t.figures).map(([key, value]) => `${key} ${round(value)}`).join(', ');
  const lines = [`${problem ? 'FAIL' : 'ok  '}  ${name} (${took} s)${figures ? ': ' + figures : ''}`];
  if (problem) {
    lines.push(`      ${String(problem.stack ?? problem).split('\n').slice(0, 6).join('\n      ')}`);
    for (const note of t.notes.slice(-40)) lines.push(`      | ${note}`);
  }
  console.log(lines.join('\n'));
  return problem ? 'failed' : 'passed';
}

function round(value) {
  if (typeof value !== 'number') return value;
  return Number.isInteger(value) ? value : Number(value.toFixed(3));
}
