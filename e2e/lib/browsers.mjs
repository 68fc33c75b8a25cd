// Starts the browsers that stand on the machine, headless, with made-up cameras and empty profiles.
//
// Chromium is driven through playwright-core (DevTools protocol), Firefox through puppeteer-core (WebDriver BiDi). Both give the
// same small door: `page(url)` → { run(fn, arg), screenshot(file), close() }, and are closed by the test that opened them.

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

/** How long a browser may take to start, in ms: the first start of Firefox on a small machine is slow. */
const START_MS = 90_000;

const CHROMIUM_FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream=fps=30',
  '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  // Tabs of a test are often hidden behind each other: none of them may be slowed down for that.
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
];

const FIREFOX_PREFS = {
  'media.getusermedia.browser.enabled': true,
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  // Nothing of ours is looked up, reported or fetched in the background.
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'toolkit.telemetry.enabled': false,
};

/** The first of the usual places where the program lies. */
export function find(...names) {
  for (const name of names) for (const dir of ['/usr/bin', '/usr/local/bin', '/snap/bin']) {
    const file = join(dir, name);
    if (existsSync(file)) return file;
  }
  throw new Error(`${names[0]} is not installed`);
}

/** A Chromium with its own empty profile; `t` closes it when the test is over. Without `permissions` it refuses every device. */
export async function openChromium(t, { flags = [], viewport = { width: 1280, height: 720 }, colorScheme, permissions = ['camera', 'microphone'] } = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'althing-chromium-'));
  const usual = CHROMIUM_FLAGS.filter((flag) => permissions.length > 0 || flag !== '--use-fake-ui-for-media-stream');
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: find('chromium', 'chromium-browser', 'google-chrome'),
    args: [...usual, ...flags],
    headless: true,
    timeout: START_MS,
    viewport,
    colorScheme,
    permissions,
  });
  t.defer(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  });
  return {
    name: 'chromium',
    /** Ends it at once, as a machine does that loses its power. */
    async crash() {
      const session = await context.browser()?.newBrowserCDPSession?.() ?? await context.newCDPSession(context.pages()[0]);
      await session.send('Browser.crash').catch(() => {});
    },
    async page(url) {
      const page = await context.newPage();
      page.on('pageerror', (error) => t.note(`page error: ${error.message}`));
      page.on('console', (line) => line.type() === 'error' && t.note(`console: ${line.text()}`));
      await page.goto(url);
      return {
        raw: page,
        run: (fn, arg) => page.evaluate(fn, arg),
        screenshot: (file) => page.screenshot({ path: file }),
        close: () => page.close(),
      };
    },
  };
}

/** A Firefox with its own empty profile; `t` closes it when the test is over. */
export async function openFirefox(t) {
  const profile = await mkdtemp(join(tmpdir(), 'althing-firefox-'));
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: find('firefox-esr', 'firefox'),
    headless: true,
    userDataDir: profile,
    extraPrefsFirefox: FIREFOX_PREFS,
    timeout: START_MS,
    protocolTimeout: START_MS,
  });
  t.defer(async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  });
  return {
    name: 'firefox',
    async page(url) {
      const page = await browser.newPage();
      page.on('pageerror', (error) => t.note(`page error: ${error.message}`));
      page.on('console', (line) => line.type() === 'error' && t.note(`console: ${line.text()}`));
      await page.goto(url);
      return {
        raw: page,
        run: (fn, arg) => page.evaluate(fn, arg),
        screenshot: (file) => page.screenshot({ path: file }),
        close: () => page.close(),
      };
    },
  };
}
