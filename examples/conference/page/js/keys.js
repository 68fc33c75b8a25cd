// Shortcuts: single keys, when nobody is typing; Space to talk as long as it is held. They can be switched off in the settings.

import { at } from './dom.js';
import { shortcutsOn } from './settings.js';

/** Where a key is meant for something else. */
const TYPING = 'input, textarea, select, [contenteditable]';
const PRESSED_BY_SPACE = `${TYPING}, button, a, summary, [role="log"], #roster`;

/** `actions`: what each key does, in lower case, and `escape`; `talk(on)` is for the held Space. */
export function startKeys({ signal }, actions, talk) {
  let talking = false;
  const elsewhere = () => at('settings').open || !shortcutsOn();
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !at('settings').open) actions.escape();
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || elsewhere()) return;
    if (event.key === ' ' && !event.target.closest(PRESSED_BY_SPACE)) {
      event.preventDefault();
      talking = true;
      talk(true);
    } else if (!event.target.closest(TYPING)) {
      const act = event.key === 'Escape' ? undefined : actions[event.key.toLowerCase()];
      if (act) event.preventDefault(); // or the key would be written into what it opens
      act?.();
    }
  }, { signal });
  const silent = () => {
    if (talking) talk(false);
    talking = false;
  };
  addEventListener('keyup', (event) => event.key === ' ' && silent(), { signal });
  addEventListener('blur', silent, { signal }); // the key is let go elsewhere
}
