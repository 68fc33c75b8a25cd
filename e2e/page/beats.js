// When the pictures of a page flash and its sounds beep: content, not what players say of themselves.

/** Follows all players of the page until `stop()`, which gives by the file's name the moments, in ms. */
export function follow() {
  const moments = {};
  let stopped = false;
  const name = (element) => element.src.split('/').at(-1);
  const tell = (element, moment) => (moments[name(element)] ??= []).push(moment);

  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  for (const video of document.querySelectorAll('.tile video')) {
    let bright = true;
    const each = (_, { expectedDisplayTime }) => {
      if (stopped) return;
      canvas.drawImage(video, 0, 0, 1, 1);
      const white = canvas.getImageData(0, 0, 1, 1).data[1] > 120;
      if (white && !bright && video.src) tell(video, expectedDisplayTime);
      bright = white;
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
  }

  const context = new AudioContext();
  let ahead = Infinity;
  const ears = [...document.querySelectorAll('#sounds audio')].map((audio) => {
    const analyser = new AnalyserNode(context, { fftSize: 8192 });
    context.createMediaElementSource(audio).connect(analyser).connect(context.destination);
    return { audio, analyser, heard: -1 };
  });
  const samples = new Float32Array(8192);
  const listen = setInterval(() => {
    ahead = Math.min(ahead, performance.now() - context.currentTime * 1000);
    for (const ear of ears) {
      ear.analyser.getFloatTimeDomainData(samples);
      const first = samples.findIndex((value) => Math.abs(value) > 0.08);
      const when = context.currentTime - (samples.length - first) / context.sampleRate;
      // Only a beginning: there was silence before it.
      if (first > 500 && when > ear.heard + 0.5) {
        ear.heard = when;
        tell(ear.audio, { sound: when * 1000 });
      }
    }
  }, 40);
  return () => {
    stopped = true;
    clearInterval(listen);
    for (const list of Object.values(moments)) list.forEach((one, place) => one.sound !== undefined && (list[place] = one.sound + ahead));
    return moments;
  };
}

/** For each beat that all of the files have: how far the first and the last of them are apart, in ms. */
export function spreads(moments) {
  const [first, ...others] = Object.values(moments);
  return (first ?? []).flatMap((moment) => {
    const near = others.map((list) => list.find((one) => Math.abs(one - moment) < 400));
    return near.includes(undefined) ? [] : [Math.max(moment, ...near) - Math.min(moment, ...near)];
  });
}
