// The pictures: who is there at this time, who is large, on which page. Only what is on the screen is loaded.

import { at, say } from '../dom.js';
import { focus, grid } from '../layout.js';
import { inOrder } from '../tile.js';
import { Tile } from './tile.js';

/** The most pictures at once: each is a file to load and to decode. */
const MOST = 16;

export class Scene {
  #tiles = new Map();
  #page = 0;
  #pinned;
  #seen;

  /** `onChange(pictures)`: these are on the screen, `{ part, element }` each. */
  constructor(score, onChange, { signal }) {
    Object.assign(this, { score, onChange, view: 'speaker', pictures: true });
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(at('tiles'));
    signal.addEventListener('abort', () => sizes.disconnect());
    at('previous').addEventListener('click', () => this.#turn(-1), { signal });
    at('next').addEventListener('click', () => this.#turn(1), { signal });
  }

  #turn(by) {
    this.#page += by;
    this.draw();
  }

  /** Shows a time. Does nothing when all is as it was. */
  show(time) {
    this.time = time;
    const tiles = this.score.tiles(time);
    const speaking = this.score.speaking(time);
    const leader = this.score.leader(time);
    const seen = JSON.stringify([tiles.map(({ key, part, muted }) => [key, part?.key, muted]), [...speaking], leader, this.view, this.pictures]);
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#draw(tiles, speaking, leader);
  }

  /** Draws once more. */
  draw() {
    this.#seen = undefined;
    if (this.time !== undefined) this.show(this.time);
  }

  #draw(abouts, speaking, leader) {
    const { clientWidth: width, clientHeight: height } = at('tiles');
    if (width === 0) return;
    const tiles = abouts.map((about) => this.#tile(about));
    for (const [key, tile] of this.#tiles) if (!tiles.includes(tile)) this.#tiles.delete(key);
    tiles.forEach((tile, place) => tile.update(abouts[place], { speaking: speaking.has(abouts[place].person), pictures: this.pictures }));
    const large = this.#large(tiles, leader);
    const rest = tiles.filter((tile) => tile !== large).sort((one, other) => other.about.screen - one.about.screen);
    const layout = large ? focus(width, height, rest.length, large.about.screen) : grid(width, height);
    const perPage = Math.min(large ? MOST - 1 : MOST, Math.max(1, layout.perPage));
    const pages = Math.max(1, Math.ceil(rest.length / perPage));
    this.#page = Math.max(0, Math.min(this.#page, pages - 1));
    const shown = rest.slice(this.#page * perPage, (this.#page + 1) * perPage);
    const places = layout.place(shown.length);
    shown.forEach((tile, place) => tile.place(places[place], { pinned: tile.key === this.#pinned }));
    large?.place(layout.main, { main: true, pinned: large.key === this.#pinned });
    const visible = large ? [large, ...shown] : shown;
    inOrder(at('tiles'), visible);
    at('pages').hidden = pages === 1;
    say(at('page'), `${this.#page + 1} of ${pages}`);
    at('previous').disabled = this.#page === 0;
    at('next').disabled = this.#page === pages - 1;
    at('alone').hidden = tiles.length > 0;
    this.onChange(visible.filter((tile) => tile.part).map((tile) => ({ part: tile.part, element: tile.video })));
  }

  #tile(about) {
    const { key } = about;
    if (!this.#tiles.has(key)) this.#tiles.set(key, new Tile(about, () => this.#pin(key)));
    return this.#tiles.get(key);
  }

  #large(tiles, leader) {
    const pinned = tiles.find((tile) => tile.key === this.#pinned);
    if (pinned || this.view === 'grid') return pinned;
    const of = (person) => tiles.find((tile) => tile.about.person === person && !tile.about.screen);
    return tiles.findLast((tile) => tile.about.screen) ?? of(leader) ?? tiles[0];
  }

  #pin(key) {
    this.#pinned = this.#pinned === key ? undefined : key;
    this.draw();
  }
}
