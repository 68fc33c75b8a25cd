// What the page of recordings says, in one place. Times and dates are told as the browser's language has them.

export const UNREACHABLE = 'The server does not answer. Is the network there?';
export const MAKING = 'This recording is still being made. Come back when the meeting is over.';
export const DELETED = 'The pictures and the sound of this recording were deleted. What is left is the proof of who agreed to it.';
export const EMPTY = 'Nothing was recorded: nobody who was there agreed, or nothing was sent.';
export const VERSION = 'This recording was made by a newer server than this page knows.';
export const REALLY = 'Delete this recording? Its pictures, its sound and its captions cannot be brought back.';
export const REMOVED = 'The recording is deleted.';
export const NO_PLAY = 'The browser wants you to press the play button.';
export const WAITING = 'Loading …';
export const NONE = 'No recordings of this room are kept.';

/** What the server has said to no: in our words, where there are some for it. */
export function refused(status, sentence) {
  if (status === 401) return `The server does not accept this link: ${sentence}`;
  if (status === 403) return 'This link does not allow to see the recordings of this room. Ask whoever leads the meetings for one.';
  if (status === 404) return 'There is no such recording. Perhaps it belongs to another room.';
  if (status === 409) return MAKING;
  return sentence || UNREACHABLE;
}

/** Why one file of several is not played; the others are. */
export function broken(what, code) {
  if (code === 2) return `${what}: the file does not come; the rest is played without it.`;
  if (code === 3) return `${what}: the file is damaged; the rest is played without it.`;
  return `${what}: the file is missing, or of a kind that this browser does not play; the rest is played without it.`;
}

/** What a picture shows, or a sound is. */
export function what(name, source, kind) {
  if (source === 'mix') return 'The sound of all';
  if (source.startsWith('screen')) return `${name}’s screen`;
  return kind === 'video' ? `${name}’s camera` : `${name}’s microphone`;
}

/** 1:02:03, for the eye. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** 1 hour 2 minutes 3 seconds, for the ear. */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(whole / 3600), 'hour'], [Math.floor(whole / 60) % 60, 'minute'], [whole % 60, 'second']];
  const said = parts.filter(([number]) => number > 0).map(([number, unit]) => `${number} ${unit}${number === 1 ? '' : 's'}`);
  return said.join(' ') || 'the beginning';
}

/** When a meeting was. */
export const day = (unixMs) => new Date(unixMs).toLocaleString([], { dateStyle: 'full', timeStyle: 'short' });

/** How captions of a language are called; of those without one, just so. */
export function language(file) {
  const code = /^captions-(.+)\.vtt$/.exec(file)?.[1];
  if (!code) return 'Captions';
  try {
    return new Intl.DisplayNames([], { type: 'language' }).of(code) ?? code;
  } catch {
    return code; // no language, only a name
  }
}
