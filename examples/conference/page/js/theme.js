// Light or dark: as the system says, or as this person has chosen.

import { at } from './dom.js';
import { keep, recall } from './preferences.js';

function apply(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/** Applies what was chosen before, and follows the choice in the settings, where there are some. */
export function startTheme() {
  const chosen = recall('theme', '');
  apply(chosen);
  if (!at('theme')) return;
  at('theme').value = chosen;
  at('theme').addEventListener('change', ({ target }) => {
    keep('theme', target.value);
    apply(target.value);
  });
}
