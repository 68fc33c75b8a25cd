// Raised hands: an attribute `hand` of the participant, with the time at which it was raised, in ms since 1970.
//
// The time is that of the browser: whose clock is wrong may stand at a wrong place in the row.

/** When this participant raised a hand; nothing when it is down. */
export function raisedAt(participant) {
  const time = Number(participant.attributes?.hand);
  return time > 0 ? time : undefined;
}

/** Those whose hand is up, the first first. */
export function raised(room) {
  const up = [room.localParticipant, ...room.remoteParticipants.values()].filter(raisedAt);
  return up.sort((a, b) => raisedAt(a) - raisedAt(b) || (a.identity < b.identity ? -1 : 1));
}

/** Raises or lowers one's own. */
export function setRaised(room, up) {
  return room.localParticipant.setAttributes({ hand: up ? String(Date.now()) : '' });
}

/** Whether one may: it takes a token that allows changes of one's own data. */
export const mayRaise = (room) => Boolean(room.localParticipant.permissions?.canUpdateMetadata);
