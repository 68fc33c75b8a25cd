// The ready-made conference of the React components: somebody else's page, whole and unchanged, on our server.

import { openChromium } from '../lib/browsers.mjs';
import { bundle, serveFiles } from '../lib/files.mjs';
import { check, scenario, until } from '../lib/runner.mjs';
import { startServer, token } from '../lib/server.mjs';

scenario('react: two people see each other, chat, share, mute, leave', { seconds: 120, beside: true }, async (t) => {
  const server = await startServer(t);
  await bundle('react.js');
  const files = await serveFiles(t);
  const errors = [];
  const open = async (identity, name) => {
    const browser = await openChromium(t, { flags: ['--auto-select-desktop-capture-source=Entire screen'], viewport: { width: 960, height: 600 } });
    const query = new URLSearchParams({ url: server.base.replace('http', 'ws'), token: token({ room: 'hall', identity, name }) });
    const page = await browser.page(`${files}/?${query}`);
    page.raw.on('console', (line) => line.type() === 'error' && errors.push(`${identity}: ${line.text()}`));
    page.raw.on('pageerror', (error) => errors.push(`${identity}: ${error.message}`));
    await page.raw.addStyleTag({ url: '/react.bundle.css' });
    await page.run(() => import('/react.bundle.js'));
    return page;
  };
  const ada = await open('ada', 'Ada');
  const ben = await open('ben', 'Ben');
  /** Videos of somebody's tile that really show something, by their source. */
  const shown = (page, source, local) => until(`a picture from ${source}`, () => page.run(([source, local]) => {
    const videos = [...document.querySelectorAll(`.lk-participant-tile[data-lk-local-participant="${local}"] video[data-lk-source="${source}"]`)];
    return videos.some((video) => video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 5);
  }, [source, local]), 20_000, 200);
  const count = (page, selector) => page.raw.locator(selector).count();
  for (const page of [ada, ben]) for (const local of [true, false]) await shown(page, 'camera', local);
  check((await ben.raw.locator('.lk-participant-name').allTextContents()).sort().join() === 'Ada,Ben', 'the names are not shown');

  await ada.raw.click('.lk-chat-toggle');
  await ben.raw.click('.lk-chat-toggle');
  const say = async (page, text) => {
    await page.raw.fill('.lk-chat-form-input', text);
    await page.raw.press('.lk-chat-form-input', 'Enter');
  };
  const read = (page, text) => page.raw.waitForSelector(`.lk-chat-entry:has-text("${text}")`, { timeout: 10_000 });
  await say(ada, 'hello Ben');
  await read(ben, 'hello Ben');
  await say(ben, 'hello Ada');
  await read(ada, 'hello Ada');

  await ada.raw.click('.lk-button[data-lk-source="screen_share"]');
  await shown(ben, 'screen_share', false);
  await ben.screenshot(new URL('../../target/e2e/react.png', import.meta.url).pathname);
  await ada.raw.click('.lk-button[data-lk-source="screen_share"]');
  await until('the screen is gone', async () => (await count(ben, 'video[data-lk-source="screen_share"]')) === 0);

  await ada.raw.click('.lk-button[data-lk-source="microphone"]');
  await ben.raw.waitForSelector('.lk-participant-tile[data-lk-local-participant="false"][data-lk-audio-muted="true"]', { timeout: 10_000 });
  await ada.raw.click('.lk-button[data-lk-source="camera"]');
  await ben.raw.waitForSelector('.lk-participant-tile[data-lk-local-participant="false"][data-lk-video-muted="true"]', { timeout: 10_000 });
  await ada.raw.click('.lk-button[data-lk-source="camera"]');
  await shown(ben, 'camera', false);

  await ada.raw.click('.lk-disconnect-button');
  await ada.raw.waitForSelector('body[data-left]', { timeout: 10_000 });
  await until('ben is alone', async () => (await count(ben, '.lk-participant-tile')) === 1);
  check(errors.length === 0, `the console says: ${errors.join(' | ')}`);
});
