// Members of a meeting by unmodified client SDKs: in a browser page, in Python, in Node. All can be asked for the same.

import { fileURLToPath } from 'node:url';
import { serveFiles } from './files.mjs';
import { PYTHON, converse } from './programs.mjs';
import { check, until } from './runner.mjs';
import { token } from './server.mjs';

/** A page in which somebody has joined the room. */
export async function member(t, browser, server, room, identity, { options = {}, grant = {}, key, ...claims } = {}) {
  t.scripts ??= await serveFiles(t);
  const page = await browser.page(`${server.base}/healthz`);
  page.joined = await page.run(async ({ scripts, base, token, options, key }) => {
    const sdk = await import(`${scripts}/livekit-client.esm.mjs`);
    const { Member } = await import(`${scripts}/member.js`);
    sdk.setLogLevel('warn');
    window.me = new Member(sdk, key ? { ...options, ...(await Member.encryption(sdk, scripts, key)) } : options);
    if (key) await me.room.setE2EEEnabled(true);
    return me.join(base.replace('http', 'ws'), token);
  }, { scripts: t.scripts, base: server.base, token: token({ room, identity, grant, ...server.key, ...claims }), options, key });
  page.ask = (op, args = {}) => page.run(([op, args]) => (op === 'events' ? me.events.filter((one) => !args.name || one.name === args.name) : me[op](args)), [op, args]);
  page.roster = () => page.run(() => me.roster());
  page.events = (name) => page.run((name) => me.events.filter((one) => one.name === name), name);
  page.inbound = (identity, source) => page.run(([identity, source]) => me.inbound(identity, source), [identity, source]);
  page.sees = (identity, source = 'camera') =>
    until(`a picture of ${identity}`, async () => {
      await page.run(([identity, source]) => me.show(identity, source), [identity, source]);
      return (await page.inbound(identity, source)).frames > 5;
    }, 15_000, 200);
  page.hears = (identity) =>
    until(`the sound of ${identity}`, async () => {
      await page.run((identity) => me.listen(identity), identity);
      return (await page.inbound(identity, 'microphone')).energy > 0.0001;
    }, 15_000, 200);
  t.defer(async () => t.note(`${identity}: ${JSON.stringify(await page.run(() => me.events.map((one) => `${one.name} ${one.identity ?? one.reason ?? ''} ${one.source ?? ''}`)))}`));
  return page;
}

const KINDS = {
  python: [PYTHON, fileURLToPath(new URL('../py/member.py', import.meta.url))],
  node: [process.execPath, fileURLToPath(new URL('../node/member.mjs', import.meta.url))],
};

/** Somebody of another kind than a browser has joined the room: `python` or `node`. */
export async function program(t, kind, server, room, identity, { options = {}, grant = {}, key, ...claims } = {}) {
  const [command, script] = KINDS[kind];
  const { ask } = converse(t, command, [script]);
  const url = server.base.replace('http', 'ws');
  const joined = await ask('join', { url, token: token({ room, identity, grant, ...server.key, ...claims }), key, ...options });
  t.defer(async () => t.note(`${identity}: ${JSON.stringify((await ask('events')).map((one) => `${one.name} ${one.identity ?? one.reason ?? ''} ${one.source ?? ''}`))}`));
  return { ask, joined };
}

/** Waits until a member of any kind sees a new picture from somebody, of that colour if one is given. */
export async function shows(who, identity, colour, { source = 'camera', ms = 30_000, fits = () => true } = {}) {
  let last;
  const before = (await who.ask('look', { identity, source })).frames;
  const found = until(`a picture of ${identity}`, async () => {
    last = await who.ask('look', { identity, source });
    const near = !colour || last.colour?.every((part, index) => Math.abs(part - colour[index]) < 40);
    return last.frames !== before && last.frames > 0 && near && fits(last) && last;
  }, ms, 200);
  return found.catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)} instead of ${colour ?? 'any'}`);
  });
}

/** Waits until a member of any kind hears that tone from somebody, in Hz; where the tone is not known, anything loud. */
export async function plays(who, identity, tone, { ms = 30_000 } = {}) {
  let last;
  const found = until(`the sound of ${identity}`, async () => {
    last = await who.ask('look', { identity, source: 'microphone' });
    return last.frames > 0 && last.loud > 0.005 && (last.tone === undefined || Math.abs(last.tone - tone) < 20) && last;
  }, ms, 200);
  return found.catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)} instead of ${tone} Hz`);
  });
}

/** Checks something of each pair of members, given by name; all that is wrong is told at once. */
export async function eachWithEach(t, everybody, what, each) {
  const names = Object.keys(everybody);
  const pairs = names.flatMap((name) => names.filter((other) => other !== name).map((other) => [name, other]));
  const start = performance.now();
  const outcomes = await Promise.allSettled(pairs.map(async ([name, other]) => each(everybody[name], other, name)));
  const wrong = outcomes.flatMap(({ reason }, index) => (reason ? [`${pairs[index].join(' of ')}: ${reason.message}`] : []));
  check(wrong.length === 0, `${what}: ${wrong.join('; ')}`);
  t.measured(`${what} ms`, Math.round(performance.now() - start));
}

/** Waits until a member of any kind has noted something. */
export const notes = (who, name, fits = () => true, ms = 30_000) =>
  until(`${name} ${fits}`, async () => (await who.ask('events', { name })).find(fits), ms, 100);
