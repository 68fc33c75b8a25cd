// What went wrong, in plain words. The numbers are those of the room protocol (`DisconnectReason`) and of the SDK
// (`ConnectionErrorReason`).

const DEVICES = {
  NotAllowedError: 'The browser may not use it. Allow it in the address bar, then switch it on again.',
  NotFoundError: 'None was found.',
  OverconstrainedError: 'The one that you chose is not there.',
  NotReadableError: 'Another program is using it.',
  AbortError: 'It could not be started.',
};

const NAMES = { audio: 'Microphone', video: 'Camera', screen: 'Screen' };

/** Why a microphone, a camera or a screen cannot be used. */
export function deviceProblem(kind, error) {
  if (kind === 'screen' && error.name === 'NotAllowedError') return 'Nothing is shared: the browser was not allowed to.';
  return `${NAMES[kind]}: ${DEVICES[error.name] ?? error.message}`;
}

const ENDED = {
  2: 'You have joined from another window or device, so this one was left.',
  3: 'The server was stopped.',
  4: 'Somebody who leads the meeting has removed you from the room.',
  5: 'The meeting was ended for everybody.',
  10: 'The meeting was ended for everybody.',
};

/** Why somebody is outside who did not leave; nothing for who did. */
export function ended(reason) {
  if (reason === 1) return '';
  return ENDED[reason] ?? 'The connection was lost, and trying again did not help. Join again when the network is back.';
}

/** Why somebody cannot come in. */
export function refused(error) {
  const said = (error.message ?? '').replace(/^could not establish signal connection: /i, '');
  if (error instanceof TypeError || [1, 5, 6].includes(error.reason)) {
    return /full/i.test(said) ? FULL : 'The server cannot be reached. Is the network there?';
  }
  if (/expired/i.test(said)) return EXPIRED;
  if (/full/i.test(said)) return FULL;
  if (error.status === 401 || error.status === 403) return `The server does not accept this invitation: ${said}`;
  if (error.name === 'ConnectionError') return `The server says: ${said}`;
  return said;
}

const FULL = 'This room is full. Try again when somebody has left.';

/** For an invitation that was good once. */
export const EXPIRED = 'This invitation has expired. Ask for a new one.';
