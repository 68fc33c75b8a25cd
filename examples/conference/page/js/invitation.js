// Invitations: what the address brings along, the token for the server, the link for others.
//
// Everything is in the fragment of the address, which browsers do not send: the room, the token (taken out of the address bar
// at once) and the key of end-to-end encryption, which the server never gets.

import { EXPIRED } from './wording.js';

/** What a token says about itself; it is the server that checks it. Nothing for what is no token. */
export function claims(token) {
  try {
    const text = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  } catch {
    return undefined;
  }
}

/** What the address says: room, name, token, key; each may be missing. */
export function given() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const key = fragment.get('key') ?? '';
  let token = fragment.get('token');
  const room = fragment.get('room') ?? claims(token)?.video?.room ?? '';
  if (token) history.replaceState(null, '', room || key ? link(room, key) : location.pathname);
  else if (room && claims(remembered())?.video?.room === room) token = remembered(); // the page was loaded again
  return { room, key, token: token ?? '', name: claims(token)?.name ?? '' };
}

/** The address of a room, with the key of those who have one. */
export function link(room, key) {
  const fragment = new URLSearchParams({ room });
  if (key) fragment.set('key', key);
  return `${location.origin}${location.pathname}#${fragment}`;
}

/**
 * The token to come in with: the one that was pasted, or one of the server's development key. Gives it with its claims.
 * Throws what to tell the person; `needed` is set when the server wants a token and there is none.
 */
export async function obtain({ room, name, token, publish }) {
  const text = token || (await developmentToken({ room, name, publish }));
  const said = text && claims(text);
  if (!said) throw Object.assign(new Error(text ? 'This is not a token.' : 'This server needs an invitation.'), { needed: true });
  if (said.exp * 1000 < Date.now()) throw Object.assign(new Error(EXPIRED), { needed: true });
  if (token) remember(token);
  return { token: text, room: said.video?.room ?? room, mayPublish: said.video?.canPublish !== false };
}

/** Nothing where there is no development key. */
async function developmentToken(request) {
  const response = await fetch('dev/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error((await response.text()).trim());
  return (await response.json()).token;
}

// As long as the tab is open, so that loading the page again does not lock its person out.
function remember(token) {
  try {
    sessionStorage.setItem('token', token);
  } catch {} // then it does
}

function remembered() {
  try {
    return sessionStorage.getItem('token') ?? '';
  } catch {
    return '';
  }
}
