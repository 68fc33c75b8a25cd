// A picture that tells when it was painted, in bars that any codec keeps: twelve bits of the machine's clock.

const BITS = 12;
/** The unit in ms; the clock goes round in 65 s. */
const TICK = 16;
const now = () => Math.floor(Date.now() / TICK) % (1 << BITS);

/** Paints it again and again; gives the track. */
export function clock({ width = 640, height = 360, fps = 25 } = {}) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  const paint = () => {
    const time = now();
    for (let bit = 0; bit < BITS; bit += 1) {
      context.fillStyle = (time >> bit) & 1 ? 'white' : 'black';
      context.fillRect((bit * width) / BITS, 0, width / BITS, height);
    }
  };
  paint();
  setInterval(paint, 1000 / fps);
  return canvas.captureStream(fps).getVideoTracks()[0];
}

/** How long ago what a video element shows was painted, in ms. */
export function read(video) {
  const context = new OffscreenCanvas(BITS, 1).getContext('2d');
  const [width, height] = [video.videoWidth / BITS, video.videoHeight];
  for (let bit = 0; bit < BITS; bit += 1) context.drawImage(video, (bit + 0.4) * width, height * 0.4, width * 0.2, height * 0.2, bit, 0, 1, 1);
  const { data } = context.getImageData(0, 0, BITS, 1);
  let time = 0;
  for (let bit = 0; bit < BITS; bit += 1) if (data[bit * 4] > 128) time |= 1 << bit;
  return ((now() - time) & ((1 << BITS) - 1)) * TICK;
}
