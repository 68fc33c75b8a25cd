// Light or dark: as the system says, or as this person has chosen.

import { at } from './dom.js';
import { keep, recall } from './preferences.js';

function apply(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/** Applies what was chosen before, and follows the choice in the settings. */
export function startTheme() {
  const chosen = recall('theme', '');
  apply(chosen);
  at('theme').value = chosen;
  at('theme').addEventListener('change', ({ target }) => {
    keep('theme', target.value);
    apply(target.value);
  });
}
