// The list of a room's recordings.

import { at, copy, say } from '../dom.js';
import { link } from './archive.js';
import { NONE, REALLY, REMOVED, clock, day, spoken } from './wording.js';
import { announce } from '../news.js';

const STATES = { making: 'still being made', deleted: 'deleted', empty: 'nothing was recorded' };

/** Shows them. */
export async function showShelf(archive) {
  say(at('shelf-title'), `Recordings of ${archive.room}`);
  const listed = await archive.list();
  at('recordings').replaceChildren(...listed.map((one) => entry(archive, one)));
  say(at('shelf-hint'), listed.length > 0 ? '' : NONE);
  at('shelf').hidden = false;
}

function entry(archive, { recording, unix_ms: unixMs, duration, state, people }) {
  const element = copy('recording');
  const when = day(unixMs);
  const seconds = duration / 1e9;
  const title = element.querySelector('a');
  title.textContent = when;
  if (state === 'ready') title.href = link(archive.room, recording);
  element.querySelector('.state').textContent = STATES[state] ?? clock(seconds);
  if (state === 'ready') element.querySelector('.state').setAttribute('aria-label', spoken(seconds));
  element.querySelector('.people').textContent = people.join(', ');
  const button = element.querySelector('button');
  button.hidden = !archive.mayDelete || state !== 'ready';
  button.setAttribute('aria-label', `Delete the recording of ${when}`);
  button.addEventListener('click', () => ask(archive, recording));
  return element;
}

function ask(archive, recording) {
  const dialog = at('really');
  say(at('really-text'), REALLY);
  dialog.returnValue = '';
  dialog.showModal();
  dialog.addEventListener('close', async () => {
    if (dialog.returnValue !== 'delete') return;
    try {
      await archive.remove(recording);
      announce(REMOVED);
      await showShelf(archive);
      at('shelf-title').focus();
    } catch (error) {
      say(at('shelf-hint'), error.message);
    }
  }, { once: true });
}
