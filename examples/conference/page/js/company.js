// Who is in the room beside oneself: people, and parts of the server, which are no people.
//
// Parts of the server say what they are by an attribute: `mix` (one stream of sound of everybody), `recording`.

/** Whether somebody is no part of the server. */
export const isPerson = ({ attributes }) => !attributes?.mix && attributes?.recording === undefined;

/** The other people. */
export const others = (room) => [...room.remoteParticipants.values()].filter(isPerson);

/** The part of the server with this attribute; nothing where there is none. */
export const part = (room, attribute) => [...room.remoteParticipants.values()].find((one) => one.attributes?.[attribute] !== undefined);
