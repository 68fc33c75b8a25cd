// The sound of the others: one element for each, none of them to be seen.

import { at } from './dom.js';
import { banner } from './news.js';

/** Plays what comes, and asks for a click where the browser wants one first. */
export function startSound({ room, sdk, signal }) {
  const { RoomEvent } = sdk;
  room.on(RoomEvent.TrackSubscribed, (track) => track.kind === 'audio' && at('sounds').append(track.attach()));
  room.on(RoomEvent.TrackUnsubscribed, (track) => {
    if (track.kind === 'audio') for (const element of track.detach()) element.remove();
  });
  room.on(RoomEvent.AudioPlaybackStatusChanged, () => {
    if (room.canPlaybackAudio) banner('sound');
    else banner('sound', 'The browser waits for a click before it plays the others.', { label: 'Hear them', act: () => room.startAudio() });
  });
  signal.addEventListener('abort', () => at('sounds').replaceChildren());
}
