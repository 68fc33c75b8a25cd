// A full room without a browser for each: one page holds all the others.

import { openChromium } from './browsers.mjs';
import { serveFiles } from './files.mjs';
import { token } from './server.mjs';

const NAMES = [
  'Björn Sigurðsson', 'Cleo', 'Dagný Eiríksdóttir', 'Emeka Okafor', 'Fatima al-Zahra', 'Gunnar', 'Hanna Lindqvist', 'Ívar',
  'Jóhanna Guðmundsdóttir-Magnússon', 'Kwame', 'Lea Brunner', 'Mei-Ling 陳', 'Nils', 'Ólafur', 'Priya Raghunathan', 'Qasim',
  'Rósa', 'Sven', 'Þóra', 'Uxía Fernández', 'Václav', 'Wanjiru', 'Xenia', 'Yusuf',
];

/** Opens the page that holds the others. `add(count, all)` lets in so many more; with `all` each has camera and microphone. `speak(index)`
 * has one of them speak and the others be silent. */
export async function openCrowd(t, server, room) {
  t.scripts ??= await serveFiles(t);
  const page = await (await openChromium(t)).page(`${server.base}/healthz`);
  let here = 0;
  page.add = async (count, all = false) => {
    const people = NAMES.slice(here, here + count).map((name, index) => {
      const number = here + index;
      return {
        name,
        token: token({ room, identity: `person-${number}`, name, grant: { canUpdateOwnMetadata: true } }),
        camera: all || number % 6 !== 2,
        microphone: all || number === 0 || number % 5 === 1,
        hand: number % 11 === 3 ? 1000 + number : undefined,
      };
    });
    here += count;
    await page.run(async ({ scripts, base, people }) => {
      window.sdk ??= await import(`${scripts}/livekit-client.esm.mjs`);
      sdk.setLogLevel('warn');
      window.many ??= await import(`${scripts}/crowd.js`);
      window.rooms = [...(window.rooms ?? []), ...(await many.crowd(sdk, base.replace('http', 'ws'), people))];
    }, { scripts: t.scripts, base: server.base, people });
  };
  page.speak = (index) => page.run((index) => many.speak(rooms, index), index);
  return page;
}
