// People who use the server's own page, in either browser: what they press, and what they see.

import { until } from './runner.mjs';

/** Opens the lobby; `address` is what follows the server's own. */
export async function lobby(browser, server, address = '/') {
  const page = await browser.page(`${server.base}${address}`);
  await page.run(async () => {
    while (document.readyState !== 'complete') await new Promise((done) => setTimeout(done, 20));
  });
  /** Writes into a field of a form. */
  page.write = (id, text) => page.run(([id, text]) => {
    document.getElementById(id).value = text;
    document.getElementById(id).dispatchEvent(new Event('input', { bubbles: true }));
  }, [id, text]);
  page.press = (selector) => page.run((selector) => document.querySelector(selector).click(), selector);
  page.text = (selector) => page.run((selector) => document.querySelector(selector).textContent.trim(), selector);
  page.there = (selector) => page.run((selector) => document.querySelector(selector).checkVisibility(), selector);
  page.pressed = (selector) => page.run((selector) => document.querySelector(selector).getAttribute('aria-pressed') === 'true', selector);
  page.key = (key) => page.raw.keyboard.press(key);
  page.tiles = () => page.run(tiles);
  page.rows = () => page.run(rows);
  /** Waits for the tile of somebody, and for what it is to be like. */
  page.sees = (name, what = (tile) => tile.playing && tile.picture, ms = 20_000) => until(`the tile of ${name}`, async () => {
    const tile = (await page.tiles()).find((one) => one.name === name);
    return tile && what(tile) && tile;
  }, ms);
  page.hears = () => until('sound', () => page.run(hears), 20_000, 200);
  page.told = (selector, words, ms = 10_000) => until(`${selector} says ${words}`, async () => words.test(await page.text(selector)), ms);
  return page;
}

/** Comes into a room through the lobby. */
export async function enter(browser, server, { room = 'hall', name, address = `/#room=${room}`, button = '#enter', key } = {}) {
  const page = await lobby(browser, server, address);
  await until('the preview', () => page.run(() => document.getElementById('preview').videoWidth > 0), 20_000);
  if (name) await page.write('name', name);
  if (key) await page.write('key', key);
  await page.press(button);
  await inside(page);
  return page;
}

/** Waits until the call is on the screen. */
export async function inside(page) {
  await until('the call', async () => {
    const problem = await page.text('#problem');
    if (problem) throw new Error(`the lobby says: ${problem}`);
    return page.there('#call');
  }, 20_000);
}

// What follows runs inside the page.

function tiles() {
  return [...document.querySelectorAll('.tile')].map((tile) => {
    const video = tile.querySelector('video');
    const is = (word) => tile.classList.contains(word);
    return {
      name: tile.querySelector('.name').textContent,
      source: tile.dataset.source,
      width: video.videoWidth,
      playing: video.currentTime > 0.3,
      picture: !is('no-picture'),
      muted: is('muted'),
      hand: is('hand'),
      large: is('main'),
      speaking: is('speaking'),
      state: tile.querySelector('.state').textContent,
    };
  });
}

function rows() {
  return [...document.querySelectorAll('.person')].map((row) => ({
    name: row.querySelector('.name').textContent,
    hand: row.querySelector('.hand').checkVisibility() ? row.querySelector('.hand').textContent.trim() : '',
    sound: row.querySelector('.sound').getAttribute('aria-label'),
    picture: row.querySelector('.picture').getAttribute('aria-label'),
    quality: row.querySelector('.quality').getAttribute('aria-label'),
  }));
}

/** Whether one of the sounds that come in is not silence, by what the browser plays. */
async function hears() {
  for (const element of document.querySelectorAll('#sounds audio')) {
    const [track] = element.srcObject?.getAudioTracks() ?? [];
    if (!track || element.paused) continue;
    const before = element.currentTime;
    await new Promise((done) => setTimeout(done, 200));
    if (element.currentTime > before && !track.muted && track.readyState === 'live') return true;
  }
  return false;
}
