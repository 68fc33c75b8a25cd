// What is when in a recording, made of its manifest. Only arithmetic: no elements. All times are seconds.

import { DELETED, EMPTY, VERSION } from './wording.js';

/** A hole that a file is not played through: from a minute on nothing fills it. */
const LONG_HOLE = 59;
/** A picture that stands still for longer is taken away. */
const FROZEN = 2;
/** So long before a file begins it is loaded. */
const LEAD = 3;
/** The most files of sound at once: those whose people speak next. */
const MOST_SOUNDS = 24;

const seconds = (nanoseconds) => nanoseconds / 1e9;
const span = ({ from, until }) => ({ from: seconds(from), until: until === null ? Infinity : seconds(until) });
const covers = ({ from, until }, at) => from <= at && at < until;
const within = (spans, at) => spans.some((one) => covers(one, at));
const isScreen = (source) => source.startsWith('screen');

/** The last of those that have begun, in a list in the order of time. */
function latest(list, at) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].at <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export class Score {
  #tracks;
  #mix;
  #speakers;
  #leads;

  /** Throws what to tell the person about a recording that cannot be played. */
  constructor(manifest) {
    if (manifest.version !== 1) throw new Error(VERSION);
    const files = manifest.tracks.flatMap((track) => track.files);
    if (manifest.deleted.length > 0) throw new Error(DELETED);
    if (files.length === 0) throw new Error(EMPTY);
    this.room = manifest.room;
    this.unixMs = manifest.unix_ms;
    this.duration = seconds(manifest.duration);
    this.people = new Map(manifest.people.map((one) => [one.person, { ...one, name: one.name || one.identity, stay: span(one.stay) }]));
    this.#tracks = manifest.tracks.filter((track) => track.files.length > 0).map((track) => this.#track(track));
    this.#mix = (manifest.mix ?? []).map((file) => ({ key: file.file, file: file.file, kind: 'audio', source: 'mix', ...span(file) }));
    this.recorded = new Set(this.#tracks.map((track) => track.person));
    const timed = (list, what) => list.map((one) => ({ at: seconds(one.at), [what]: one.value ?? one[what], ...(one.person && { person: one.person }) }));
    this.chat = timed(manifest.chat, 'text');
    this.chapters = timed(manifest.chapters, 'value').map(({ at, value }) => ({ at, title: value }));
    this.#speakers = timed(manifest.speakers, 'value');
    this.#leads = this.#leading();
  }

  #track({ track, person, kind, source, span: there, mutes, gaps, pauses, files }) {
    const holes = [...gaps, ...pauses].map(span);
    const long = (least) => holes.filter((hole) => hole.until - hole.from > least);
    const about = { track, person, kind, source };
    const parts = files.map((file) => ({ ...about, key: file.file, file: file.file, ...span(file), holes: long(LONG_HOLE) }));
    const still = long(FROZEN).map(({ from, until }) => ({ from: from + FROZEN / 2, until }));
    return { ...about, span: span(there), mutes: mutes.map(span), still, parts };
  }

  /** Who leads at which time: whoever does so stays as long as they speak, even when others are louder. */
  #leading() {
    const leads = [];
    let leader;
    for (const { at, value } of this.#speakers) {
      const seen = value.filter((person) => this.recorded.has(person));
      if (seen.length > 0 && !seen.includes(leader)) leads.push({ at, person: (leader = seen[0]) });
    }
    return leads;
  }

  /** Who speaks. */
  speaking(at) {
    return new Set(this.#speakers[latest(this.#speakers, at)]?.value ?? []);
  }

  /** Who is shown large, if the person is still there: the one who spoke last. */
  leader(at) {
    return this.#leads[latest(this.#leads, at)]?.person;
  }

  /** The number of the chapter, -1 before the first. */
  chapter(at) {
    return latest(this.chapters, at);
  }

  /** How many messages were written by then. */
  written(at) {
    return latest(this.chat, at) + 1;
  }

  /** The pictures of that time: a tile for everybody, and one for every screen; `part` where there is something to see. */
  tiles(at) {
    const tiles = [];
    for (const [person, { stay, name, identity }] of this.people) {
      if (!this.recorded.has(person) || !covers(stay, at)) continue;
      const tracks = this.#tracks.filter((track) => track.person === person);
      const shown = tracks.filter((track) => track.kind === 'video').map((track) => ({ track, part: this.#picture(track, at) }));
      const live = shown.filter(({ part }) => part);
      const camera = live.find(({ track }) => !isScreen(track.source));
      const muted = !tracks.some((track) => track.kind === 'audio' && !isScreen(track.source) && covers(track.span, at) && !within(track.mutes, at));
      const about = { person, name, identity };
      tiles.push({ ...about, key: `${person}/camera`, screen: false, part: camera?.part, muted });
      for (const { track, part } of live) {
        if (track !== camera?.track) tiles.push({ ...about, key: `${person}/${track.track}`, screen: isScreen(track.source), part, muted: false });
      }
    }
    return tiles;
  }

  #picture(track, at) {
    if (within(track.mutes, at) || within(track.still, at) || !covers(track.span, at)) return undefined;
    return track.parts.find((part) => covers(part, at));
  }

  /** The files of sound that are to be heard at that time, or very soon; `mixed`: all as one, where there is such a file. */
  sounds(at, mixed) {
    if (mixed && this.#mix.some((part) => covers(part, at))) return this.#mix.filter((part) => part.from - LEAD <= at && at < part.until);
    const near = (part) => part.from - LEAD <= at && at < part.until && !part.holes.some((hole) => hole.from <= at && at < hole.until - LEAD);
    const sounds = this.#tracks.filter((track) => track.kind === 'audio').flatMap((track) => track.parts.filter(near));
    if (sounds.length <= MOST_SOUNDS) return sounds;
    const soon = new Map();
    for (let place = Math.max(0, latest(this.#speakers, at)); place < this.#speakers.length && soon.size < MOST_SOUNDS; place += 1) {
      for (const person of this.#speakers[place].value) if (!soon.has(person)) soon.set(person, soon.size);
    }
    const order = (part) => soon.get(part.person) ?? Infinity;
    return sounds.sort((one, other) => order(one) - order(other) || one.track - other.track).slice(0, MOST_SOUNDS);
  }
}
