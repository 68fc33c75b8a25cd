// The page as people use it: come in, see each other, mute, leave.

import { openChromium } from '../lib/browsers.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';

/** Where pictures of the page go, for people to look at. */
const SHOTS = process.env.ALTHING_SHOTS;

/** Comes in through the lobby. */
async function enter(page, { room = 'hall', name, button = '#enter' }) {
  await page.raw.fill('#room', room);
  await page.raw.fill('#name', name);
  await page.raw.click(button);
  await page.raw.waitForSelector('#call:not([hidden])', { timeout: 10_000 });
}

/** The tiles that a person sees. */
const tiles = (page) => page.run(() => [...document.querySelectorAll('.tile')].map((tile) => ({
  name: tile.querySelector('.who span').textContent,
  width: tile.querySelector('video').videoWidth,
  playing: tile.querySelector('video').currentTime > 0.3,
  picture: !tile.classList.contains('no-picture'),
  muted: tile.classList.contains('muted'),
  state: tile.querySelector('.state').textContent,
})));

const sees = (page, name, what = () => true) => until(`the tile of ${name}`, async () => {
  const tile = (await tiles(page)).find((one) => one.name === name);
  return tile && what(tile) && tile;
}, 15_000);

async function shot(page, name) {
  if (SHOTS) await page.screenshot(`${SHOTS}/${name}.png`);
}

scenario('page: two people meet, mute, and one leaves', { seconds: 90 }, async (t) => {
  const server = await startServer(t);
  const anna = await (await openChromium(t)).page(server.base);
  const other = await openChromium(t, { viewport: { width: 390, height: 844 } });
  const björn = await other.page(`${server.base}/#room=hall`);
  await until('the preview', () => anna.run(() => document.getElementById('preview').videoWidth > 0));
  check((await björn.run(() => document.getElementById('room').value)) === 'hall', 'the link did not fill in the room');
  await enter(anna, { name: 'Anna Árnadóttir' });
  check((await anna.run(() => document.activeElement.id)) === 'title', 'the focus did not follow into the room');
  await enter(björn, { name: 'Björn' });
  await sees(anna, 'Björn', (tile) => tile.playing && tile.picture && !tile.muted);
  await sees(björn, 'Anna Árnadóttir', (tile) => tile.playing && tile.picture && !tile.muted);
  await until('no state over the pictures', async () => (await tiles(anna)).every((tile) => tile.state === ''));
  await shot(anna, 'call-two');
  await shot(björn, 'call-phone');
  check((await anna.run(() => document.getElementById('count').textContent)) === '2 people', 'the count is wrong');
  check((await anna.run(() => document.getElementById('news').textContent)).includes('Björn'), 'nobody was told that Björn came');

  await anna.raw.keyboard.press('v');
  await sees(björn, 'Anna Árnadóttir', (tile) => !tile.picture);
  await anna.raw.keyboard.press('m');
  await sees(björn, 'Anna Árnadóttir', (tile) => tile.muted);
  await shot(björn, 'call-muted');
  await anna.raw.keyboard.press('v');
  const again = await sees(björn, 'Anna Árnadóttir', (tile) => tile.picture && tile.width > 0);
  check(again.muted, 'the microphone came back with the camera');
  await anna.raw.keyboard.press('m');
  await sees(björn, 'Anna Árnadóttir', (tile) => !tile.muted);

  await björn.raw.click('#leave');
  await björn.raw.waitForSelector('#lobby:not([hidden])');
  await until('Björn is gone', async () => (await tiles(anna)).length === 1, 5000);
  await until('the server forgot him', async () => (await server.room('hall')).participants.length === 1, 5000);
  await enter(björn, { name: 'Björn' });
  await sees(anna, 'Björn', (tile) => tile.playing);
  await björn.close();
  await until('a closed page is noticed', async () => (await tiles(anna)).length === 1, 10_000);
});

scenario('page: somebody only watches, in the dark', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const anna = await (await openChromium(t)).page(server.base);
  await enter(anna, { name: 'Anna' });
  const viewer = await (await openChromium(t, { colorScheme: 'dark' })).page(server.base);
  await shot(viewer, 'lobby-dark');
  await enter(viewer, { name: 'Viewer', button: '#watch' });
  await sees(viewer, 'Anna', (tile) => tile.playing);
  await shot(viewer, 'call-watching');
  check((await tiles(anna)).length === 1 || (await tiles(anna)).every((tile) => tile.name !== 'Viewer' || !tile.picture), 'the viewer has a picture');
  check(await viewer.run(() => [...document.querySelectorAll('#call [data-toggle]')].every((one) => one.hidden)), 'a viewer can mute nothing');
});

scenario('page: what goes wrong is said', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  const page = await browser.page(server.base);
  const problem = () => page.run(() => document.getElementById('problem').textContent);
  const tell = async (what, text) => {
    await page.raw.evaluate((text) => {
      document.getElementById('token-field').hidden = false;
      document.getElementById('token').value = text;
    }, text);
    await page.raw.fill('#room', 'hall');
    await page.raw.fill('#name', 'Eve');
    await page.raw.click('#enter');
    await until(what, async () => (await problem()) !== '');
    return problem();
  };
  check(/invitation.*expired/i.test(await tell('expired', token({ room: 'hall', identity: 'eve', seconds: -600 }))), `expired: ${await problem()}`);
  await shot(page, 'lobby-problem');
  check(/not a token/.test(await tell('nonsense', 'nonsense')), `nonsense: ${await problem()}`);
  const forged = token({ room: 'hall', identity: 'eve', secret: 'wrong' });
  check(/does not accept/.test(await tell('forged', forged)), `forged: ${await problem()}`);

  const invited = await browser.page(`${server.base}/#token=${token({ room: 'garden', identity: 'gunnar', name: 'Gunnar' })}`);
  const filled = await invited.run(() => [document.getElementById('room').value, document.getElementById('name').value, location.hash]);
  check(filled.join() === 'garden,Gunnar,', `the invitation filled in ${filled}`);
  await invited.raw.click('#enter');
  await invited.raw.waitForSelector('#call:not([hidden])', { timeout: 10_000 });
  await sees(invited, 'Gunnar (you)');
});

scenario('page: the server comes back after a restart', { seconds: 90, beside: true }, async (t) => {
  const flags = ['--udp-port', '0'];
  const first = await startServer(t, { flags });
  const { port } = new URL(first.base);
  const anna = await (await openChromium(t)).page(first.base);
  const björn = await (await openChromium(t)).page(first.base);
  await enter(anna, { name: 'Anna' });
  await enter(björn, { name: 'Björn' });
  await sees(anna, 'Björn', (tile) => tile.playing);
  await first.stop();
  await until('the trouble is told', () => anna.run(() => !document.getElementById('trouble').hidden), 10_000);
  await shot(anna, 'call-trouble');
  await startServer(t, { flags: [...flags, '--listen', `127.0.0.1:${port}`] });
  await sees(anna, 'Björn', (tile) => tile.playing && tile.state === '' && tile.picture);
  await until('the trouble is over', () => anna.run(() => document.getElementById('trouble').hidden), 15_000);
});
