// One recording on the screen: puts the parts together, and what one can press.

import { at, icon, say } from '../dom.js';
import { announce, banner, notice } from '../news.js';
import { keep, recall } from '../preferences.js';
import { Beside } from './beside.js';
import { Captions } from './captions.js';
import { Clock } from './clock.js';
import { Ensemble } from './ensemble.js';
import { Scene } from './scene.js';
import { Score } from './score.js';
import { Timebar } from './timebar.js';
import { NO_PLAY, WAITING, broken, what } from './wording.js';

/** How far a key or a button goes, in seconds. */
const STEP = 10;
const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
/** Where a key is meant for something else. */
const TYPING = 'select, textarea, input:not([type="range"])';
const PRESSED_BY_SPACE = `${TYPING}, button, a`;

export class Player {
  /** Throws what to tell the person when there is nothing to play. */
  constructor({ manifest, captions, file }, { signal }) {
    this.score = new Score(manifest);
    this.clock = new Clock();
    const go = (time) => this.go(time);
    const parts = { signal };
    this.ensemble = new Ensemble(this.clock, this.score, file, {
      look: (time) => this.#look(time),
      problem: (part, code) => this.#problem(part, code),
      refused: () => notice(NO_PLAY),
    });
    this.scene = new Scene(this.score, (pictures) => this.ensemble.show(pictures), parts);
    this.beside = new Beside(this.score, go, parts);
    this.captions = new Captions(captions, file, parts);
    this.timebar = new Timebar(this.score, go, parts);
    this.#controls(parts);
    addEventListener('keydown', (event) => this.#key(event), { signal });
    this.#look(0);
  }

  #controls({ signal }) {
    const press = (id, act) => at(id).addEventListener('click', act, { signal });
    press('play', () => this.toggle());
    press('back', () => this.go(this.clock.now - STEP));
    press('forward', () => this.go(this.clock.now + STEP));
    press('layout', () => this.#view(this.scene.view === 'grid' ? 'speaker' : 'grid'));
    press('listen', () => this.#listen(this.scene.pictures));
    press('mute', () => this.#mute());
    const speed = at('speed');
    speed.append(...SPEEDS.map((one) => new Option(`${one}×`, one)));
    speed.addEventListener('change', () => this.#speed(Number(speed.value)), { signal });
    this.#speed(SPEEDS.includes(recall('speed', 1)) ? recall('speed', 1) : 1);
    this.#view(recall('watching', 'speaker'));
    if (recall('listening', navigator.connection?.saveData ?? false)) this.#listen(true);
  }

  /** Goes to a time, in seconds. */
  go(time) {
    this.ensemble.seek(time);
  }

  toggle() {
    if (this.ensemble.playing) this.ensemble.pause();
    else this.ensemble.play();
    announce(this.ensemble.playing ? 'Playing' : 'Paused');
  }

  #view(view) {
    this.scene.view = view;
    keep('watching', view);
    at('layout').setAttribute('aria-pressed', view === 'speaker');
    this.scene.draw();
  }

  #listen(only) {
    this.scene.pictures = !only;
    this.ensemble.mixed = only;
    keep('listening', only);
    at('listen').setAttribute('aria-pressed', only);
    this.scene.draw();
  }

  #mute() {
    const muted = at('mute').getAttribute('aria-pressed') !== 'true';
    this.ensemble.muted = muted;
    at('mute').setAttribute('aria-pressed', muted);
    icon(at('mute'), muted ? 'silent' : 'loud');
  }

  #speed(rate) {
    at('speed').value = rate;
    keep('speed', rate);
    this.ensemble.rate = rate;
  }

  #faster(by) {
    const next = SPEEDS[SPEEDS.indexOf(this.clock.rate) + by];
    if (next === undefined) return;
    this.#speed(next);
    announce(`Speed ${next}`);
  }

  #look(time) {
    if (!this.timebar) return; // not all is there yet
    this.timebar.show(time);
    this.beside.show(time);
    this.captions.show(time);
    // At its very end a recording shows its last moment.
    this.scene.show(Math.min(time, this.score.duration - 0.05));
    const { playing, waiting } = this.ensemble;
    icon(at('play'), playing ? 'pause' : 'play');
    at('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
    // What is there in a moment is not told.
    this.waits = waiting ? (this.waits ?? performance.now()) : undefined;
    say(at('waiting'), waiting && performance.now() - this.waits > 400 ? WAITING : '');
  }

  #problem(part, code) {
    if (part.source === 'mix') this.ensemble.mixed = false; // there are the sounds of each
    const { name } = this.score.people.get(part.person) ?? { name: 'Somebody' };
    banner(part.key, broken(what(name, part.source, part.kind), code), { label: 'Close', act: () => banner(part.key) });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPING) || document.querySelector('dialog[open]')) return;
    if (event.key === ' ' && event.target.closest(PRESSED_BY_SPACE)) return;
    const keys = {
      ' ': () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: () => this.go(this.clock.now - STEP / 2),
      ArrowRight: () => this.go(this.clock.now + STEP / 2),
      j: () => this.go(this.clock.now - STEP),
      l: () => this.go(this.clock.now + STEP),
      PageUp: () => this.go(this.clock.now + 60),
      PageDown: () => this.go(this.clock.now - 60),
      Home: () => this.go(0),
      End: () => this.go(this.score.duration),
      m: () => this.#mute(),
      v: () => this.#view(this.scene.view === 'grid' ? 'speaker' : 'grid'),
      a: () => this.#listen(this.scene.pictures),
      c: () => this.beside.toggle('chat'),
      h: () => this.beside.toggle('chapters'),
      '<': () => this.#faster(-1),
      '>': () => this.#faster(1),
      Escape: () => this.beside.open && this.beside.toggle(this.beside.open),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    // A list that can be scrolled is scrolled by these.
    if (!act || (/^(Page|Home|End)/.test(event.key) && event.target.closest('[role="log"], .panel'))) return;
    event.preventDefault();
    act();
  }
}

