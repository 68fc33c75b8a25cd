// The sound of the others: one element for each, none of them to be seen.

import { at } from './dom.js';
import { banner } from './news.js';

const WAITING = 'The browser waits for a click before it plays the others.';

/** Plays what comes, and asks for a click where the browser wants one first. */
export function startSound({ room, sdk, signal }) {
  const { RoomEvent } = sdk;
  const elements = new Map();
  const tell = () => {
    const silent = !room.canPlaybackAudio && at('sounds').children.length > 0;
    banner('sound', silent ? WAITING : '', { label: 'Hear them', act: () => room.startAudio() });
  };
  room.on(RoomEvent.TrackSubscribed, (track) => {
    if (track.kind === 'audio') {
      elements.set(track, track.attach());
      at('sounds').append(elements.get(track));
    }
    tell();
  });
  room.on(RoomEvent.TrackUnsubscribed, (track) => {
    // The SDK has detached it already.
    elements.get(track)?.remove();
    elements.delete(track);
    tell();
  });
  room.on(RoomEvent.AudioPlaybackStatusChanged, tell);
  signal.addEventListener('abort', () => at('sounds').replaceChildren());
}
