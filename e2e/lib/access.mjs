// Whether people can use a page who do not see it, or see it badly.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { sleep } from './runner.mjs';

const AXE = fileURLToPath(new URL('../node_modules/axe-core/axe.min.js', import.meta.url));
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];

/** All that axe-core has to say about what is on the screen now. */
export async function findings(page) {
  await sleep(300); // what fades in is there
  const source = await readFile(AXE, 'utf8');
  return page.run(async ([source, rules]) => {
    if (!window.axe) new Function(source).call(window);
    const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] });
    return violations.flatMap(({ id, impact, nodes }) => nodes.map((node) => `${impact} ${id}: ${node.target.join(' ')} ${node.any[0]?.message ?? node.all[0]?.message ?? ''}`));
  }, [source, RULES]);
}

/** What a finger has to hit is at least this high and wide, in CSS pixels; gives those that are smaller. */
export const tooSmall = (page) => page.run(() => [...document.querySelectorAll('button, select, input, textarea, summary')].flatMap((element) => {
  if (!element.checkVisibility({ visibilityProperty: true }) || element.type === 'checkbox') return [];
  const { width, height } = element.getBoundingClientRect();
  return width < 44 || height < 44 ? [`${element.id || element.className || element.tagName} is ${Math.round(width)} by ${Math.round(height)}`] : [];
}));
