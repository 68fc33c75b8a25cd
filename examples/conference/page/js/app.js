// The page: from the lobby into the room and out again.
//
// | file | one idea |
// |---|---|
// | lobby | before the call: who, where, do camera and microphone work |
// | devices | camera and microphone before the call |
// | invitation | the address, the token, the link for others |
// | encryption | end-to-end, with a key that all share |
// | call | one visit: puts the parts together |
// | stage, tile, layout, subscriptions | the pictures: which, where, how large, received or not |
// | sound, mix | the others' sound, of each or as one |
// | controls, keys, panels, settings | what one can press |
// | recording | who agrees to one, how it stands |
// | company | who is a person and who a part of the server |
// | chat, people, hands | beside the pictures |
// | float | picture in picture |
// | news, wording | what is told, and in which words |
// | preferences, theme, dom | what is remembered, light and dark, elements |

import { Call } from './call.js';
import { Devices } from './devices.js';
import { at } from './dom.js';
import { Lobby } from './lobby.js';
import { announce } from './news.js';
import { startSettings } from './settings.js';
import { startTheme } from './theme.js';
import { ended } from './wording.js';

let loading;
let call;

/** The SDK: large, so it comes after the lobby is there to be looked at. */
const sdk = () => (loading ??= import('../vendor/livekit-client.esm.mjs').catch((error) => {
  loading = undefined; // the next try asks again
  throw error;
}));

const devices = new Devices();

const lobby = new Lobby(devices, async (visit) => {
  const coming = new Call(await sdk(), visit, leave);
  await coming.join(devices);
  call = coming;
  document.title = `${visit.room} · Althing`;
});

function leave(reason) {
  call = undefined;
  const problem = ended(reason);
  lobby.open(problem);
  announce(problem || 'You have left the room');
  at('enter').focus();
}

startTheme();
startSettings((kind, deviceId) => (call ? call.choose(kind, deviceId) : devices.choose(kind)));
lobby.open();
// Two frames later the lobby is painted.
requestAnimationFrame(() => requestAnimationFrame(() => sdk().then(({ setLogLevel }) => setLogLevel('warn'), () => {})));
