// The page of recordings: the list of a room, or one of them.
//
// | file | one idea |
// |---|---|
// | archive | what the server has, and how it is asked |
// | shelf | the list |
// | player | one recording: puts the parts together |
// | score | what is when |
// | clock, ensemble, part | many files, one time |
// | scene, tile | the pictures: which, where, how large |
// | timebar, beside, captions | where one is; chat and chapters; captions |
// | wording | what is told, and in which words |

import { at, say } from '../dom.js';
import { startTheme } from '../theme.js';
import { Archive, link, wanted } from './archive.js';
import { Player } from './player.js';
import { showShelf } from './shelf.js';
import { day } from './wording.js';

/** As long as the page is there. */
const { signal } = new AbortController();

async function start() {
  const { room, recording, token } = wanted();
  at('all').href = link(room);
  at('again').href = link(room);
  try {
    if (!room) throw new Error('This link names no room. Ask for a new one.');
    const archive = await Archive.at({ room, token });
    if (!recording) {
      document.title = `Recordings of ${room} · Althing`;
      return await showShelf(archive);
    }
    const opened = await archive.open(recording);
    at('call').hidden = false; // the pictures are laid out by its size
    const { score } = new Player(opened, { signal });
    document.title = `${room}, recorded · Althing`;
    say(at('title'), room);
    say(at('count'), day(score.unixMs));
    at('play').focus();
  } catch (error) {
    at('call').hidden = true;
    at('trouble').hidden = false;
    say(at('problem'), error.message);
    at('again').hidden = !recording;
    at('trouble').querySelector('h1').focus();
  }
  return undefined;
}

addEventListener('hashchange', () => location.reload());
startTheme();
start();
