// Runs inside a browser page: many members of a meeting in one page, each with a small drawn picture.

const WIDTH = 320;
const HEIGHT = 180;

/** Comes in as so many people. `people`: `{ token, name, camera, microphone, hand }`. Gives their rooms. */
export async function crowd(sdk, url, people, fps = 5) {
  const rooms = [];
  for (const person of people) rooms.push(await join(sdk, url, person, fps));
  return rooms;
}

/** Lets one of them share a slide. */
export const share = (room) => room.localParticipant.publishTrack(slide(room.localParticipant.name), { source: 'screen_share', simulcast: false });

/** One of them speaks from now on, and the others are silent. */
export function speak(rooms, speaker) {
  for (const [index, { localParticipant }] of rooms.entries()) {
    localParticipant.getTrackPublication('microphone').track.mediaStreamTrack.speak(index === speaker);
  }
}

async function join(sdk, url, { token, name, camera, microphone, hand }, fps) {
  const room = new sdk.Room({ dynacast: true, disconnectOnPageLeave: false });
  await room.connect(url, token, { autoSubscribe: false });
  const local = room.localParticipant;
  if (camera) await local.publishTrack(drawn(name, fps), { source: 'camera', simulcast: false, videoEncoding: { maxBitrate: 150_000, maxFramerate: fps } });
  if (microphone) await local.publishTrack(voice(), { source: 'microphone' });
  if (hand) await local.setAttributes({ hand: String(hand) });
  return room;
}

/** A person as children draw one, who nods. */
function drawn(name, fps) {
  const [canvas, context] = blank(WIDTH, HEIGHT);
  const hue = [...name].reduce((sum, letter) => sum + letter.codePointAt(0) * 37, 0) % 360;
  let time = 0;
  const draw = () => {
    time += 1 / fps;
    const nod = Math.sin(time * 2) * 4;
    fill(context, `hsl(${hue} 35% 78%)`, () => context.rect(0, 0, WIDTH, HEIGHT));
    fill(context, `hsl(${hue} 20% 62%)`, () => context.rect(0, 0, 60, HEIGHT));
    fill(context, `hsl(${(hue + 140) % 360} 45% 38%)`, () => context.ellipse(WIDTH / 2, HEIGHT + 18, 74, 66, 0, 0, 7));
    fill(context, `hsl(${20 + (hue % 20)} 45% ${45 + (hue % 35)}%)`, () => context.ellipse(WIDTH / 2, 82 + nod, 36, 44, 0, 0, 7));
    fill(context, `hsl(${hue % 45} 35% ${18 + (hue % 20)}%)`, () => context.ellipse(WIDTH / 2, 58 + nod, 40, 26, 0, Math.PI, 0));
    fill(context, '#222', () => {
      context.ellipse(WIDTH / 2 - 13, 80 + nod, 3.500, 4, 0, 0, 7);
      context.ellipse(WIDTH / 2 + 13, 80 + nod, 3.500, 4, 0, 0, 7);
    });
    fill(context, '#7a2e2e', () => context.ellipse(WIDTH / 2, 102 + nod, 10, 4 + 2 * Math.sin(time * 9), 0, 0, 7));
  };
  draw();
  setInterval(draw, 1000 / fps);
  return canvas.captureStream(fps).getVideoTracks()[0];
}

/** A slide with a table. */
function slide(name) {
  const [canvas, context] = blank(1280, 720);
  const draw = () => {
    fill(context, '#fff', () => context.rect(0, 0, 1280, 720));
    fill(context, '#1f6f5c', () => context.rect(0, 0, 1280, 110));
    context.font = '52px sans-serif';
    fill(context, '#fff', () => {});
    context.fillText(`Budget, as ${name} sees it`, 60, 72);
    for (let row = 0; row < 6; row += 1) {
      fill(context, row % 2 ? '#eef3f0' : '#dfe9e4', () => context.rect(60, 160 + row * 80, 1160, 70));
      context.font = '34px sans-serif';
      context.fillStyle = '#1b2422';
      context.fillText(`${['Roof', 'Heating', 'Boats', 'Coffee', 'Paint', 'Sum'][row]}`, 90, 206 + row * 80);
      context.fillText(`${[1200, 830, 410, 95, 60, 2595][row]} kr`, 980, 206 + row * 80);
    }
  };
  draw();
  setInterval(draw, 1000);
  return canvas.captureStream(2).getVideoTracks()[0];
}

function voice() {
  const context = new AudioContext();
  const [tone, gain, slow, depth] = [context.createOscillator(), context.createGain(), context.createOscillator(), context.createGain()];
  const out = context.createMediaStreamDestination();
  Object.assign(tone, { type: 'sawtooth' }).frequency.value = 150;
  gain.gain.value = 0.2;
  slow.frequency.value = 4;
  depth.gain.value = 0.2;
  slow.connect(depth).connect(gain.gain);
  tone.connect(gain).connect(out);
  tone.start();
  slow.start();
  const [track] = out.stream.getAudioTracks();
  track.speak = (loud) => [gain, depth].forEach((one) => (one.gain.value = loud ? 0.2 : 0));
  return track;
}

function blank(width, height) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  document.body.append(canvas);
  return [canvas, canvas.getContext('2d')];
}

function fill(context, style, shape) {
  context.fillStyle = style;
  context.beginPath();
  shape();
  context.fill();
}
