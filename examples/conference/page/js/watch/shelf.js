// The list of a room's recordings.

import { at, copy, say } from '../dom.js';
import { announce } from '../news.js';
import { link } from './archive.js';
import { NONE, REALLY, REMOVED, clock, day } from './wording.js';

const STATES = {
  asking: 'people are asked', recording: 'is being recorded', closing: 'is being finished', deleted: 'deleted', failed: 'could not be finished',
  empty: 'nothing was recorded',
};

/** Shows them. */
export async function showShelf(archive) {
  say(at('shelf-title'), `Recordings of ${archive.room}`);
  const listed = await archive.list();
  at('recordings').replaceChildren(...listed.map((one) => entry(archive, one)));
  say(at('shelf-hint'), listed.length > 0 ? '' : NONE);
  at('shelf').hidden = false;
}

function entry(archive, { name, begun, duration, state, people, files }) {
  const element = copy('recording');
  const when = day(begun);
  const done = ['ready', 'uploading'].includes(state);
  const plays = done && files > 0;
  const title = element.querySelector('a');
  title.textContent = when;
  if (plays) title.href = link(archive.room, name);
  element.querySelector('.state').textContent = plays ? clock(duration / 1000) : STATES[done ? 'empty' : state];
  element.querySelector('.people').textContent = people.join(', ');
  const button = element.querySelector('button');
  button.hidden = !archive.mayDelete || !plays;
  button.setAttribute('aria-label', `Delete the recording of ${when}`);
  button.addEventListener('click', () => ask(archive, name));
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
