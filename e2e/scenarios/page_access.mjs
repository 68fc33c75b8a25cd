// Whether people can use the page who do not see it, or see it badly: axe-core over all that it shows, in light and dark, on a
// desktop and on a phone.

import { findings, tooSmall } from '../lib/access.mjs';
import { openChromium } from '../lib/browsers.mjs';
import { openCrowd } from '../lib/crowd.mjs';
import { enter, lobby } from '../lib/meeting.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer } from '../lib/server.mjs';

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

// Each size and each colour scheme once.
for (const [size, colorScheme] of [['desktop', 'light'], ['phone', 'dark']]) {
  const viewport = SIZES[size];
  scenario(`page: can be used by all (${size}, ${colorScheme})`, { seconds: 150, beside: true }, async (t) => {
    const server = await startServer(t);
    const browser = await openChromium(t, { viewport, colorScheme });
    const found = [];
    const look = async (page, where) => {
      found.push(...(await findings(page)).map((text) => `${where}: ${text}`));
      found.push(...(await tooSmall(page)).map((text) => `${where}: ${text}`));
      const wide = await page.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`${where}: ${wide} pixels are cut off at the side`);
    };
    const before = await lobby(browser, server, '/#room=hall&key=secret');
    await until('the preview', () => before.run(() => document.getElementById('preview').videoWidth > 0));
    await look(before, 'lobby');
    await before.press('[data-open=settings]');
    await look(before, 'settings');
    await before.close();

    const anna = await enter(browser, server, { name: 'Anna' });
    await look(anna, 'alone');
    const crowd = await openCrowd(t, server, 'hall');
    await crowd.add(5);
    await anna.told('#count', /^6 people$/, 30_000);
    await until('pictures', async () => (await anna.tiles()).filter((tile) => tile.playing).length >= 4, 30_000);
    await look(anna, 'call');
    await crowd.run(() => window.rooms[0].localParticipant.sendText('hello, see https://example.org/', { topic: 'lk.chat' }));
    await anna.told('#unread span', /^1$/);
    await look(anna, 'unread');
    await anna.press('#controls [data-panel=chat]');
    await anna.raw.keyboard.type('hello');
    await anna.key('Enter');
    await look(anna, 'chat');
    await anna.press('#controls [data-panel=people]');
    await until('rows', async () => (await anna.rows()).length === 6);
    await look(anna, 'people');
    await anna.press('#controls [data-panel=people]');
    await anna.press('#hand');
    await anna.press('#controls [data-device=video]');
    await anna.press('#controls [data-device=audio]');
    await anna.press('#layout');
    if (size === 'phone') await anna.press('#more');
    await look(anna, 'speaker');
    await server.stop();
    await anna.told('#banner', /lost/);
    await look(anna, 'lost');
    check(found.length === 0, `${found.length} findings: ${found.join('; ')}`);
  });
}

scenario('page: everything can be reached by the keyboard, in a sensible order', { seconds: 90, beside: true }, async (t) => {
  const server = await startServer(t);
  const anna = await enter(await openChromium(t), server, { name: 'Anna' });
  const crowd = await openCrowd(t, server, 'hall');
  await crowd.add(1);
  await anna.sees('Björn Sigurðsson');
  const reached = [];
  for (let tries = 0; tries < 20; tries += 1) {
    await anna.key('Tab');
    const name = await anna.run(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText.trim());
    const visible = await anna.run(() => getComputedStyle(document.activeElement).outlineStyle !== 'none');
    check(visible || name === '', `${name} has the focus, and nobody sees it`);
    if (name === 'Leave') break;
    reached.push(name);
  }
  const wanted = [
    'Copy link', 'Pin Anna (you)', 'Pin Björn Sigurðsson', 'Mic', 'Camera', 'Raise hand', 'Chat', 'Share', 'People', 'Speaker view',
    'Pop out: picture in picture', 'Record', 'Settings',
  ];
  check(reached.join() === wanted.join(), `the order is ${reached.join()}`);
  await anna.run(() => document.querySelector('.tile:nth-child(2) .pin').focus());
  await anna.key('Enter');
  await until('the pinned one is large', async () => (await anna.tiles()).find((tile) => tile.large)?.name === 'Björn Sigurðsson');
  check((await anna.run(() => document.activeElement.getAttribute('aria-label'))) === 'Pin Björn Sigurðsson', 'the focus is lost by pinning');
});
