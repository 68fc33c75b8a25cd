// Pictures of the conference page for people to look at: `node screenshots.mjs` puts them under `target/screenshots`.
//
// 1, 2, 5, 9 and 25 participants, on a desktop in light and on a phone in dark, and what can be open meanwhile.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openChromium } from './lib/browsers.mjs';
import { openCrowd } from './lib/crowd.mjs';
import { enter, lobby } from './lib/meeting.mjs';
import { runAll, scenario, sleep, until } from './lib/runner.mjs';
import { startServer } from './lib/server.mjs';

const FOLDER = fileURLToPath(new URL('../target/screenshots/', import.meta.url));
const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: 'light' };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: 'dark' };
const SIZES = [1, 2, 5, 9, 25];
/** Files of a folder in place of those in the program, for who works on them. */
const flags = process.env.ALTHING_PAGE ? ['--page', process.env.ALTHING_PAGE] : [];

for (const [kind, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
  scenario(`screenshots: ${kind}`, { seconds: 400 }, async (t) => {
    await mkdir(FOLDER, { recursive: true });
    const server = await startServer(t, { flags });
    const browser = await openChromium(t, options);
    const shot = (page, name) => page.screenshot(`${FOLDER}${kind}-${name}.png`);

    const before = await lobby(browser, server, '/#room=hall&key=a-secret-key');
    await until('the preview', () => before.run(() => document.getElementById('preview').videoWidth > 0));
    await shot(before, 'lobby');
    await before.write('name', 'Anna');
    await before.press('[data-open=settings]');
    await sleep(500);
    await shot(before, 'settings');
    await before.close();

    const anna = await enter(browser, server, { name: 'Anna' });
    const crowd = await openCrowd(t, server, 'hall');
    const press = async (selector, name) => {
      await anna.press(selector);
      await sleep(1200);
      await shot(anna, name);
    };
    let here = 1;
    for (const size of SIZES) {
      if (size > here) await crowd.add(size - here);
      here = size;
      await until(`${size} people`, async () => (await anna.text('#count')) === (size === 1 ? 'only you' : `${size} people`), 60_000);
      await sleep(1500);
      await until('pictures', async () => (await anna.tiles()).every((tile) => tile.playing || !tile.picture), 30_000);
      await shot(anna, `${size}`);
      if (size === 5) {
        await press('#layout', '5-speaker');
        await anna.press('#layout');
      }
    }
    await press('#layout', '25-speaker');
    await anna.press('#layout');
    if (kind === 'phone') {
      await press('#more', '25-more');
      await press('#next', '25-next');
    }
    await crowd.run(() => window.rooms[0].localParticipant.sendText('Good morning! The agenda is at https://example.org/agenda?id=7, the budget comes after the break.', { topic: 'lk.chat' }));
    await crowd.run(() => window.rooms[4].localParticipant.sendText('I can take the minutes today.', { topic: 'lk.chat' }));
    await sleep(800);
    await shot(anna, '25-unread');
    await anna.press('#controls [data-panel=chat]');
    await anna.write('text', 'Thank you, Fatima.');
    await anna.run(() => document.getElementById('write').requestSubmit());
    await sleep(1000);
    await shot(anna, '25-chat');
    await press('#controls [data-panel=people]', '25-people');
    await anna.press('#controls [data-panel=people]');
    await crowd.run(async () => many.share(window.rooms[2]));
    await until('the slide', async () => (await anna.tiles()).some((tile) => tile.source === 'screen_share' && tile.playing), 20_000);
    await sleep(1000);
    await shot(anna, '25-screen');
    await server.stop();
    await sleep(1500);
    await shot(anna, '25-lost');
  });
}

process.exit(await runAll(process.argv.slice(2)));
