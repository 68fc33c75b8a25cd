// The page as people use it: come in, see and hear each other, write, raise a hand, share a screen, leave.

import { openChromium, openFirefox } from '../lib/browsers.mjs';
import { enter, inside } from '../lib/meeting.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';
import { talking } from '../lib/speech.mjs';

const invisible = (tile) => !tile.picture;

for (const [kind, open] of [['Chromium', openChromium], ['Firefox', openFirefox]]) {
  scenario(`page: two people meet, mute, and one leaves (${kind})`, { seconds: 150 }, async (t) => {
    const server = await startServer(t);
    const anna = await enter(await openChromium(t), server, { name: 'Anna Árnadóttir' });
    check((await anna.run(() => document.activeElement.id)) === 'title', 'the focus did not follow into the room');
    check(await anna.there('#alone'), 'who is alone is not told so');
    const björn = await enter(await open(t), server, { name: 'Björn' });
    check((await björn.text('#title')) === 'hall', 'the link did not lead into the room');
    await anna.sees('Björn', (tile) => tile.playing && tile.picture && !tile.muted);
    await björn.sees('Anna Árnadóttir', (tile) => tile.playing && tile.picture && !tile.muted);
    await björn.sees('Björn (you)');
    await Promise.all([anna.hears(), björn.hears()]);
    await anna.told('#count', /^2 people$/);
    await anna.told('#news', /Björn joined/);

    await björn.press('#controls [data-device=video]');
    await anna.sees('Björn', invisible);
    await björn.press('#controls [data-device=audio]');
    await anna.sees('Björn', (tile) => tile.muted);
    await björn.press('#controls [data-device=video]');
    const again = await anna.sees('Björn', (tile) => tile.picture && tile.playing);
    check(again.muted, 'the microphone came back with the camera');
    await björn.press('#controls [data-device=audio]');
    await anna.sees('Björn', (tile) => !tile.muted);

    await björn.press('#leave');
    await until('the lobby', () => björn.there('#lobby'));
    await anna.told('#count', /^only you$/);
    await anna.told('#news', /Björn left/);
    await björn.press('#enter');
    await inside(björn);
    await anna.sees('Björn');
    await björn.close();
    await anna.told('#count', /^only you$/, 15_000);
  });

  scenario(`page: chat and hands (${kind})`, { seconds: 120 }, async (t) => {
    const server = await startServer(t);
    const anna = await enter(await openChromium(t), server, { name: 'Anna' });
    const björn = await enter(await open(t), server, { name: 'Björn' });
    await anna.sees('Björn');
    await björn.sees('Anna');

    await björn.press('#controls [data-panel=chat]');
    const hostile = '<img src=x onerror="document.title=1"> see https://example.org/a?b=c. javascript:alert(1)';
    await björn.raw.keyboard.type(hostile);
    await björn.key('Enter');
    await anna.told('#unread span', /^1$/);
    await anna.told('#news', /Björn writes/);
    check(/^\(1\)/.test(await anna.run(() => document.title)), 'the title of the window does not count');
    await anna.press('#controls [data-panel=chat]');
    await until('the badge is gone', async () => !(await anna.there('#unread')));
    const message = await anna.run(() => {
      const element = document.querySelector('.message .words');
      return { text: element.textContent, inside: [...element.children].map((one) => [one.tagName, one.href, one.rel]) };
    });
    check(message.text === hostile, `the text came as ${message.text}`);
    check(JSON.stringify(message.inside) === '[["A","https://example.org/a?b=c","noopener noreferrer nofollow"]]', `it holds ${JSON.stringify(message.inside)}`);

    await björn.press('#hand');
    await anna.sees('Björn', (tile) => tile.hand);
    await anna.told('#news', /Björn raised a hand/);
    await anna.press('#hand');
    await anna.press('#controls [data-panel=people]');
    await until('hands in their order', async () => (await anna.rows()).map((row) => `${row.name} ${row.hand}`).join() === 'Björn 1,Anna (you) 2');
    // Who comes later sees the hands as well.
    const cleo = await enter(await openChromium(t), server, { name: 'Cleo', button: '#watch' });
    await cleo.sees('Björn', (tile) => tile.hand);
    await anna.press('#hand');
    await until('one hand is down', async () => (await anna.rows()).map((row) => `${row.name} ${row.hand}`).join() === 'Björn 1,Anna (you) ,Cleo ');
    const [first, , watching] = await anna.rows();
    check(first.sound === 'microphone on' && first.picture === 'camera on', `Björn is ${JSON.stringify(first)}`);
    check(watching.sound === 'muted' && watching.picture === 'camera off', `Cleo is ${JSON.stringify(watching)}`);
  });

  scenario(`page: encrypted end to end (${kind})`, { seconds: 120 }, async (t) => {
    const server = await startServer(t);
    const anna = await enter(await openChromium(t), server, { name: 'Anna', key: 'a key that we share' });
    const link = await anna.run(() => location.hash);
    check(/room=hall.*key=a\+key/.test(link), `the link is ${link}`);
    const björn = await enter(await open(t), server, { name: 'Björn', address: `/${link}` });
    await anna.sees('Björn', (tile) => tile.playing && tile.picture && tile.state === '');
    await björn.sees('Anna', (tile) => tile.playing && tile.picture && tile.state === '');
    check(await björn.there('#sealed'), 'nobody is told that it is encrypted');
    await björn.press('#controls [data-panel=chat]');
    await björn.raw.keyboard.type('between us');
    await björn.key('Enter');
    await anna.told('#unread span', /^1$/);
    const stranger = await enter(await openChromium(t), server, { name: 'Stranger', key: 'another key' });
    await stranger.told('#banner', /has another key/, 15_000);
    await stranger.sees('Anna', (tile) => tile.state === 'has another key');
    const said = server.lines.join('\n');
    check(!/key that|another key/.test(said.replaceAll('+', ' ')), 'the server knows the key');
  });
}

scenario('page: a screen is shared', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  const björn = await enter(await openChromium(t), server, { name: 'Björn' });
  await anna.sees('Björn');
  check(!(await anna.pressed('#layout')), 'it does not begin with the grid');
  await björn.press('#share');
  const screen = await anna.sees('Björn’s screen');
  check(screen.large, 'the screen is not large');
  await until('the sound of the screen comes too', () => anna.run(() => document.querySelectorAll('#sounds audio').length === 2));
  check(await anna.pressed('#layout'), 'the layout did not change');
  await anna.press('.tile[data-source=camera] .pin');
  await until('the pinned one is large', async () => (await anna.tiles()).find((tile) => tile.large)?.source === 'camera');
  await anna.press('.tile.main .pin');
  await until('the screen is large again', async () => (await anna.tiles()).find((tile) => tile.large)?.source === 'screen_share');
  await björn.press('#share');
  await until('the grid is back', async () => (await anna.tiles()).length === 2 && !(await anna.tiles()).some((tile) => tile.large));
});

scenario('page: keys, speakers, devices', { seconds: 120 }, async (t) => {
  const server = await startServer(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  const björn = await enter(await openChromium(t, { flags: await talking(t) }), server, { name: 'Björn' });
  await anna.sees('Björn');
  await anna.sees('Björn', (tile) => tile.speaking);
  const on = (kind) => anna.pressed(`#controls [data-device=${kind}]`);
  await until('the microphone is on', () => on('audio'));
  await anna.key('m');
  await björn.sees('Anna', (tile) => tile.muted);
  await anna.raw.keyboard.down(' ');
  await björn.sees('Anna', (tile) => !tile.muted);
  await anna.raw.keyboard.up(' ');
  await björn.sees('Anna', (tile) => tile.muted);
  await anna.key('v');
  await björn.sees('Anna', invisible);
  await anna.key('v');
  await björn.sees('Anna');
  // Faster than anything can be switched: what was pressed last holds.
  for (const [kind, presses] of [['video', 5], ['audio', 4]]) {
    await anna.run(([kind, presses]) => {
      for (let press = 0; press < presses; press += 1) document.querySelector(`#controls [data-device=${kind}]`).click();
    }, [kind, presses]);
  }
  await björn.sees('Anna', (tile) => !tile.picture && tile.muted);
  check(!(await on('video')) && !(await on('audio')), 'the buttons say something else');
  await anna.key('v');
  await björn.sees('Anna');
  await anna.key('h');
  await björn.sees('Anna', (tile) => tile.hand);
  await anna.key('l');
  await until('the speaker is large', async () => (await anna.tiles()).find((tile) => tile.large)?.name === 'Björn');
  await anna.key('c');
  check((await anna.run(() => document.activeElement.id)) === 'text', 'the focus is not where one writes');
  await anna.raw.keyboard.type('mvh');
  check((await anna.run(() => document.getElementById('text').value)) === 'mvh', 'a key of the chat was taken for a shortcut');
  check(await on('video') && !(await on('audio')), 'a key of the chat was a shortcut');
  await anna.key('Escape');
  check(!(await anna.there('#chat')), 'Escape does not close the chat');
  check((await anna.run(() => document.activeElement.dataset.panel)) === 'chat', 'the focus did not come back to the button');
  await anna.key('p');
  await until('the list', async () => (await anna.rows()).length === 2);
  await until('quality is told', async () => (await anna.rows()).every((row) => row.quality === 'good connection'), 15_000);

  // Another camera in the middle of the call.
  await anna.press('#controls [data-open=settings]');
  const before = await anna.run(async () => {
    const select = document.getElementById('choose-videoinput');
    while (select.options.length === 0) await new Promise((done) => setTimeout(done, 50));
    return select.value;
  });
  await anna.run(() => document.getElementById('choose-videoinput').dispatchEvent(new Event('change')));
  check(before !== '' && (await anna.text('#device-problem')) === '', `choosing a camera: ${await anna.text('#device-problem')}`);
  await anna.run(() => document.getElementById('shortcuts').click());
  await anna.key('Escape');
  await björn.sees('Anna');
  await anna.key('v');
  check(await on('video'), 'a shortcut works that was switched off');
});

scenario('page: a window that stays on top', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  await enter(await openChromium(t), server, { name: 'Björn' });
  await anna.sees('Björn');
  await anna.raw.click('#float');
  await until('the window', () => anna.run(() => document.pictureInPictureElement?.videoWidth > 0));
  check(await anna.pressed('#float'), 'the button does not tell');
  await anna.raw.click('#float');
  await until('it is closed', () => anna.run(() => !document.pictureInPictureElement && !document.querySelector('.floating')));
});

scenario('page: somebody only watches', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  const viewer = await enter(await openChromium(t), server, { name: 'Viewer', button: '#watch' });
  await viewer.sees('Anna');
  await anna.told('#count', /^2 people$/);
  check((await anna.tiles()).length === 1, 'who only watches has a tile');
  check(await viewer.run(() => [...document.querySelectorAll('#controls [data-device], #share')].every((one) => one.hidden)), 'a viewer can mute something');
});

scenario('page: the first paint, and what is fetched again', { seconds: 60 }, async (t) => {
  const server = await startServer(t);
  const browser = await openChromium(t);
  for (const visit of ['first', 'second']) {
    const page = await browser.page(server.base);
    const paint = await until('a paint', () => page.run(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime));
    t.measured(`${visit} visit: first paint ms`, Math.round(paint));
    const sdk = await until('the SDK', () => page.run(() => {
      const entry = performance.getEntriesByType('resource').find((one) => one.name.endsWith('/livekit-client.esm.mjs'));
      return entry?.responseEnd > 0 && { start: entry.startTime, size: entry.transferSize, end: entry.responseEnd };
    }));
    check(sdk.start > paint || sdk.end > paint, 'the SDK was loaded before the lobby was painted');
    t.measured(`${visit} visit: SDK kB`, Math.round(sdk.size / 1000));
    await page.close();
  }
});

scenario('page: the invitation and its errors', { seconds: 90, beside: true }, async (t) => {
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
  check(/invitation has expired/i.test(await tell('expired', token({ room: 'hall', identity: 'eve', seconds: -600 }))), `expired: ${await problem()}`);
  check(/not a token/.test(await tell('nonsense', 'nonsense')), `nonsense: ${await problem()}`);
  const forged = token({ room: 'hall', identity: 'eve', secret: 'wrong' });
  check(/does not accept/.test(await tell('forged', forged)), `forged: ${await problem()}`);

  const mine = token({ room: 'garden', identity: 'gunnar', name: 'Gunnar' });
  const invited = await browser.page(`${server.base}/#token=${mine}`);
  const filled = await invited.run(() => [document.getElementById('room').value, document.getElementById('name').value, location.hash]);
  check(filled.join() === 'garden,Gunnar,#room=garden', `the invitation filled in ${filled}`);
  await invited.raw.click('#enter');
  await invited.raw.waitForSelector('#call:not([hidden])', { timeout: 10_000 });
  await invited.raw.reload();
  await invited.raw.click('#enter');
  await invited.raw.waitForSelector('#call:not([hidden])', { timeout: 10_000 });
  await until('the name of the token', () => invited.run(() => document.querySelector('.tile .name')?.textContent === 'Gunnar (you)'));
});
