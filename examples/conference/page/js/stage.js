// The stage: a tile for everybody and for every shared screen, in pages; who speaks, who is pinned.

import { others } from './company.js';
import { at, say } from './dom.js';
import { raisedAt } from './hands.js';
import { focus, grid } from './layout.js';
import { Mix } from './mix.js';
import { Subscriptions } from './subscriptions.js';
import { Tile, inOrder } from './tile.js';

/** Whoever may send something has a tile; who only watches is in the list of people. */
const hasTile = (participant) => participant.permissions?.canPublish !== false || participant.trackPublications.size > 0;

const SCREEN = 'screen_share';

export class Stage {
  #tiles = new Map();
  /** Identities as they are shown: who speaks comes to the first page. */
  #order = [];
  #spoke = new Map();
  #page = 0;
  #perPage = 1;
  #pinned;
  #speaker;
  #screens = [];
  #view = 'grid';
  #viewBefore;
  #drawing;

  /** `onChange()`: what is shown has changed. */
  constructor(call, onChange) {
    Object.assign(this, call, { onChange });
    this.subscriptions = new Subscriptions(call);
    this.mix = new Mix(call, () => this.draw());
    const { RoomEvent } = this.sdk;
    for (const event of [
      'Connected', 'Reconnected', 'ParticipantConnected', 'ParticipantDisconnected', 'TrackPublished', 'TrackUnpublished',
      'TrackSubscribed', 'TrackUnsubscribed', 'TrackMuted', 'TrackUnmuted', 'LocalTrackPublished', 'LocalTrackUnpublished',
      'ParticipantNameChanged', 'ParticipantAttributesChanged', 'ParticipantPermissionsChanged', 'ConnectionQualityChanged',
      'TrackStreamStateChanged',
    ]) this.room.on(RoomEvent[event], () => this.draw());
    this.room.on(RoomEvent.ActiveSpeakersChanged, (speakers) => this.#speak(speakers));
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(at('tiles'));
    const { signal } = this;
    at('previous').addEventListener('click', () => this.#turn(-1), { signal });
    at('next').addEventListener('click', () => this.#turn(1), { signal });
    signal.addEventListener('abort', () => {
      sizes.disconnect();
      for (const tile of this.#tiles.values()) tile.remove();
    });
  }

  /** Whether one tile is large. */
  get focused() {
    return Boolean(this.#focus());
  }

  /** From the grid to the speaker and back. */
  toggle() {
    this.#view = this.focused ? 'grid' : 'speaker';
    this.#pinned = undefined;
    this.#page = 0;
    this.#viewBefore = undefined;
    this.draw();
  }

  /** The participant's picture that matters most now: pinned, shared, spoken; for a window of its own. */
  get leading() {
    const others = [...this.#tiles.values()].filter((tile) => !tile.participant.isLocal && tile.publication?.videoTrack);
    const wanted = this.#focus()?.key ?? `${this.#speaker}/camera`;
    return (others.find((tile) => tile.key === wanted) ?? others[0])?.publication.videoTrack;
  }

  /** Draws with the next frame, once, however often it is called. */
  draw() {
    this.#drawing ??= requestAnimationFrame(() => {
      this.#drawing = undefined;
      if (!this.signal.aborted) this.#draw();
    });
  }

  #draw() {
    this.#gather();
    const { clientWidth: width, clientHeight: height } = at('tiles');
    if (width === 0) return;
    const large = this.#focus();
    const rest = this.#sorted().filter((tile) => tile !== large);
    const layout = large ? focus(width, height, rest.length, large.source === SCREEN) : grid(width, height);
    this.#perPage = Math.max(1, layout.perPage);
    const pages = Math.max(1, Math.ceil(rest.length / this.#perPage));
    this.#page = Math.min(this.#page, pages - 1);
    const shown = rest.slice(this.#page * this.#perPage, (this.#page + 1) * this.#perPage);
    const rectangles = layout.place(shown.length);
    for (const tile of rest) tile.hide();
    shown.forEach((tile, index) => tile.place(rectangles[index], { pinned: tile.key === this.#pinned }));
    large?.place(layout.main, { main: true, pinned: large.key === this.#pinned });
    const visible = large ? [large, ...shown] : shown;
    inOrder(at('tiles'), visible);
    for (const tile of visible) this.#update(tile);
    this.subscriptions.want(this.mix.publications, new Set(visible.map((tile) => tile.publication).filter(Boolean)));
    at('pages').hidden = pages === 1;
    say(at('page'), `${this.#page + 1} of ${pages}`);
    at('previous').disabled = this.#page === 0;
    at('next').disabled = this.#page === pages - 1;
    at('alone').hidden = others(this.room).length > 0 || this.room.state !== 'connected';
    this.onChange();
  }

  /** Makes the tiles that are missing, removes those of whom has gone. */
  #gather() {
    const rest = others(this.room);
    const people = [this.room.localParticipant, ...rest];
    const wanted = new Map();
    for (const participant of people) {
      if (hasTile(participant)) wanted.set(`${participant.identity}/camera`, { participant, source: 'camera' });
      if (participant.getTrackPublication(SCREEN)) wanted.set(`${participant.identity}/${SCREEN}`, { participant, source: SCREEN });
    }
    for (const [key, tile] of this.#tiles) {
      // Who has come back after a lost connection may be another object with the same name.
      if (wanted.get(key)?.participant === tile.participant) continue;
      tile.remove();
      this.#tiles.delete(key);
    }
    for (const [key, what] of wanted) {
      if (!this.#tiles.has(key)) this.#tiles.set(key, new Tile({ ...what, onPin: (tile) => this.#pin(tile) }));
    }
    this.#order = this.#order.filter((identity) => wanted.has(`${identity}/camera`));
    for (const { participant, source } of wanted.values()) {
      if (source === 'camera' && !this.#order.includes(participant.identity)) this.#order.push(participant.identity);
    }
    this.#follow(rest);
  }

  /** A screen that somebody begins to share is shown large; when the last one ends, all is as it was. */
  #follow(participants) {
    const screens = participants.filter((one) => one.getTrackPublication(SCREEN)).map((one) => `${one.identity}/${SCREEN}`);
    const fresh = screens.find((key) => !this.#screens.includes(key));
    if (fresh) {
      this.#viewBefore ??= this.#view;
      this.#view = 'speaker';
      this.#page = 0;
    } else if (screens.length === 0 && this.#viewBefore) {
      this.#view = this.#viewBefore;
      this.#viewBefore = undefined;
    }
    this.#screens = [...this.#screens.filter((key) => screens.includes(key)), ...screens.filter((key) => !this.#screens.includes(key))];
  }

  #sorted() {
    const of = (key) => this.#tiles.get(key);
    const screens = [...this.#tiles.values()].filter((tile) => tile.source === SCREEN);
    return [...screens, ...this.#order.map((identity) => of(`${identity}/camera`))].filter(Boolean);
  }

  /** The tile that is to be large, if one is. */
  #focus() {
    const pinned = this.#tiles.get(this.#pinned);
    if (pinned || this.#view === 'grid') return pinned;
    const other = [...this.#tiles.values()].find((tile) => !tile.participant.isLocal);
    return this.#tiles.get(this.#screens.at(-1)) ?? this.#tiles.get(`${this.#speaker}/camera`) ?? other;
  }

  #pin(tile) {
    this.#pinned = this.#pinned === tile.key ? undefined : tile.key;
    this.draw();
  }

  #turn(by) {
    this.#page += by;
    this.draw();
  }

  #speak(speakers) {
    const now = performance.now();
    for (const { identity } of speakers) this.#spoke.set(identity, now);
    const loud = new Set(speakers.map((one) => one.identity));
    for (const tile of this.#tiles.values()) tile.speaking(loud.has(tile.participant.identity));
    const first = speakers.find((one) => !one.isLocal && hasTile(one));
    if (!first) return;
    // Who is large stays so as long as they speak, even when others speak louder: a picture that jumps helps nobody.
    if (!loud.has(this.#speaker)) this.#speaker = first.identity;
    this.#promote(first.identity);
    this.draw();
  }

  /** Brings who speaks to the first page, in the place of the one there who has been silent for longest. */
  #promote(identity) {
    const from = this.#order.indexOf(identity);
    const onFirst = this.#perPage - this.#screens.length;
    if (this.focused || from < onFirst) return;
    let longest;
    for (let place = 1; place < onFirst; place += 1) {
      const spoke = this.#spoke.get(this.#order[place]) ?? 0;
      if (longest === undefined || spoke < longest.spoke) longest = { place, spoke };
    }
    if (longest) [this.#order[longest.place], this.#order[from]] = [this.#order[from], this.#order[longest.place]];
  }

  #update(tile) {
    const { participant, publication, source } = tile;
    const paused = publication?.videoTrack?.streamState === 'paused' && !publication.isMuted;
    const wrong = this.locks?.wrong(participant.identity);
    const open = this.key && !participant.isLocal && participant.trackPublications.size > 0 && !participant.isEncrypted;
    const state = wrong ? 'has another key' : open ? 'is not encrypted' : paused ? 'paused: slow network' : '';
    tile.update({
      state,
      handRaised: source === 'camera' && Boolean(raisedAt(participant)),
      weak: ['poor', 'lost'].includes(participant.connectionQuality),
    });
  }
}
