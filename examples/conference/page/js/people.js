// The list of people: hands in their order, who is heard and seen, how good the connection is.

import { others } from './company.js';
import { at, colour, copy, icon, initials, level, say } from './dom.js';
import { raised, raisedAt } from './hands.js';

/** Rows that are shown; of larger rooms the number of the others is told. */
const ROWS = 200;
/** How often levels are shown, in ms. */
const EVERY = 250;

const QUALITY = { excellent: ['good', 'good connection'], good: ['good', 'good connection'], poor: ['weak', 'weak connection'], lost: ['lost', 'connection lost'] };

export class People {
  #rows = new Map();

  constructor({ room, signal }) {
    this.room = room;
    const ticker = setInterval(() => !at('people').hidden && this.draw(), EVERY);
    signal.addEventListener('abort', () => {
      clearInterval(ticker);
      at('roster').replaceChildren();
    });
  }

  /** Brings the rows up to date. */
  draw() {
    const hands = raised(this.room);
    const place = new Map(hands.map((participant, index) => [participant, index + 1]));
    const rest = others(this.room).filter((one) => !raisedAt(one));
    rest.sort((a, b) => (a.name || a.identity).localeCompare(b.name || b.identity));
    const own = this.room.localParticipant;
    const all = [...hands, ...(raisedAt(own) ? [] : [own]), ...rest];
    const shown = all.slice(0, ROWS);
    const rows = shown.map((participant) => this.#row(participant, place.get(participant)));
    const list = at('roster');
    if (rows.length !== list.children.length || rows.some((row, index) => list.children[index] !== row)) list.replaceChildren(...rows);
    const here = new Set(shown.map((one) => one.identity));
    for (const identity of this.#rows.keys()) if (!here.has(identity)) this.#rows.delete(identity);
    at('not-listed').hidden = all.length <= ROWS;
    say(at('not-listed'), `and ${all.length - ROWS} more`);
  }

  #row(participant, hand) {
    const { identity } = participant;
    const row = this.#rows.get(identity) ?? copy('person');
    if (!this.#rows.has(identity)) row.querySelector('.initials').classList.add(colour(identity));
    this.#rows.set(identity, row);
    const name = participant.name || identity;
    say(row.querySelector('.name'), participant.isLocal ? `${name} (you)` : name);
    say(row.querySelector('.initials'), initials(name));
    say(row.querySelector('.role'), participant.permissions?.canPublish === false ? 'watching' : participant.isScreenShareEnabled ? 'sharing a screen' : '');
    const raisedHand = row.querySelector('.hand');
    raisedHand.hidden = !hand;
    say(raisedHand.querySelector('span'), String(hand ?? ''));
    const sign = (selector, name, label) => {
      const svg = row.querySelector(selector);
      icon(svg, name);
      svg.setAttribute('aria-label', label);
    };
    const [heard, seen] = [participant.isMicrophoneEnabled, participant.isCameraEnabled];
    sign('.sound', heard ? 'mic' : 'mic-off', heard ? 'microphone on' : 'muted');
    sign('.picture', seen ? 'camera' : 'camera-off', seen ? 'camera on' : 'camera off');
    const [bars, told] = QUALITY[participant.connectionQuality] ?? ['good', 'connection not measured yet'];
    sign('.quality', bars, told);
    row.classList.toggle('muted', !heard);
    row.classList.toggle('unseen-picture', !seen);
    row.classList.toggle('weak', bars !== 'good');
    level(row.querySelector('.level'), heard && participant.isSpeaking ? Math.max(0.15, participant.audioLevel) : 0);
    return row;
  }
}
