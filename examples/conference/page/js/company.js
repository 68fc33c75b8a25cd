// Who is in the room beside oneself: people, and parts of the server, which are no people.
//
// Parts of the server say what they are by an attribute that nobody else can have: `althing.mix` (one stream of
// sound of everybody), `althing.recording`.

/** Whether somebody is no part of the server. */
export const isPerson = ({ attributes }) => !Object.keys(attributes ?? {}).some((key) => key.startsWith('althing.'));

/** The other people. */
export const others = (room) => [...room.remoteParticipants.values()].filter(isPerson);

/** The part of the server with this attribute; nothing where there is none. */
export const part = (room, attribute) => [...room.remoteParticipants.values()].find((one) => one.attributes?.[attribute] !== undefined);
