// Runs inside a browser page: what a watcher sees and hears, measured from outside the connection.

/** Follows the pictures that a video element really shows: counts them, keeps the gaps between two and the narrowest. */
export class FrameClock {
  constructor(video) {
    this.video = video;
    this.reset();
    const onFrame = (now, { width }) => {
      if (this.stopped) return;
      if (this.last !== undefined) this.gaps.push(now - this.last);
      this.first ??= now;
      this.last = now;
      this.frames += 1;
      this.narrowest = Math.min(this.narrowest, width);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  }

  reset() {
    this.frames = 0;
    this.gaps = [];
    this.last = undefined;
    this.first = undefined;
    this.narrowest = Infinity;
  }

  /** Frames shown, longest gap in ms (up to now included), size of the picture, least width of all. */
  read() {
    const tail = this.last === undefined ? Infinity : performance.now() - this.last;
    return {
      frames: this.frames,
      longestGap: Math.max(tail, ...this.gaps),
      width: this.video.videoWidth,
      height: this.video.videoHeight,
      narrowest: this.narrowest,
      firstAt: this.first,
    };
  }
}

/** All statistics of a connection as plain objects. */
export async function allStats(pc) {
  return [...(await pc.getStats()).values()].map((stat) => ({ ...stat }));
}

/** What matters about receiving: one object with counters of sound and picture and the protection in use. */
export async function receiving(pc) {
  const stats = await allStats(pc);
  const inbound = (kind) => stats.find((s) => s.type === 'inbound-rtp' && (s.kind ?? s.mediaType) === kind);
  const video = inbound('video');
  const audio = inbound('audio');
  const transport = stats.find((s) => s.type === 'transport');
  const pair = stats.find((s) => s.type === 'candidate-pair' && (s.id === transport?.selectedCandidatePairId || (s.nominated && s.state === 'succeeded')));
  const local = stats.find((s) => s.id === pair?.localCandidateId);
  const codec = (s) => stats.find((c) => c.id === s?.codecId)?.mimeType;
  return {
    framesDecoded: video?.framesDecoded ?? 0,
    framesReceived: video?.framesReceived ?? 0,
    framesDropped: video?.framesDropped ?? 0,
    keyFramesDecoded: video?.keyFramesDecoded,
    width: video?.frameWidth,
    height: video?.frameHeight,
    freezeCount: video?.freezeCount,
    totalFreezesDuration: video?.totalFreezesDuration,
    nackCount: video?.nackCount,
    pliCount: video?.pliCount,
    packetsLost: video?.packetsLost,
    videoPackets: video?.packetsReceived ?? 0,
    fecPackets: video?.fecPacketsReceived ?? 0,
    fecBytes: video?.fecBytesReceived ?? 0,
    retransmitted: video?.retransmittedPacketsReceived,
    videoBytes: video?.bytesReceived ?? 0,
    videoPlayout: video?.estimatedPlayoutTimestamp,
    audioPlayout: audio?.estimatedPlayoutTimestamp,
    audioPackets: audio?.packetsReceived ?? 0,
    audioLevel: audio?.audioLevel,
    audioEnergy: audio?.totalAudioEnergy,
    concealed: audio?.concealedSamples,
    samples: audio?.totalSamplesReceived,
    audioLost: audio?.packetsLost,
    audioNacks: audio?.nackCount,
    audioBytes: audio?.bytesReceived ?? 0,
    videoCodec: codec(video),
    audioCodec: codec(audio),
    srtpCipher: transport?.srtpCipher,
    dtlsCipher: transport?.dtlsCipher,
    tlsVersion: transport?.tlsVersion,
    dtlsState: transport?.dtlsState,
    protocol: local?.protocol,
  };
}

/** What matters about sending: one row per encoding. */
export async function sending(pc) {
  const stats = await allStats(pc);
  return stats.filter((s) => s.type === 'outbound-rtp').map((s) => ({
    kind: s.kind ?? s.mediaType,
    rid: s.rid,
    active: s.active,
    packets: s.packetsSent,
    bytes: s.bytesSent,
    frames: s.framesSent,
    width: s.frameWidth,
    height: s.frameHeight,
    pli: s.pliCount ?? 0,
    fir: s.firCount ?? 0,
    nack: s.nackCount ?? 0,
    keyFrames: s.keyFramesEncoded,
    limitation: s.qualityLimitationReason,
    codec: stats.find((c) => c.id === s.codecId)?.mimeType,
  }));
}

/**
 * How loud the received sound is over `ms`: root mean square, 0 to 1; `undefined` when nothing was played.
 * Read from the statistics: an AudioContext never starts in a Firefox without an audio device.
 */
export async function loudness(pc, ms = 1500) {
  const sound = async () => (await allStats(pc)).find((s) => s.type === 'inbound-rtp' && (s.kind ?? s.mediaType) === 'audio');
  const before = await sound();
  await new Promise((done) => setTimeout(done, ms));
  const after = await sound();
  const duration = (after?.totalSamplesDuration ?? 0) - (before?.totalSamplesDuration ?? 0);
  const energy = (after?.totalAudioEnergy ?? 0) - (before?.totalAudioEnergy ?? 0);
  return duration > 0 ? Math.sqrt(energy / duration) : undefined;
}

/**
 * How far sound and picture are apart when played, in ms; positive when the picture is late. The best of up to three
 * medians of ten reads: what is wrong stays wrong, what a busy machine does passes. A receiver knows it only after a sender
 * report of both, so this waits up to `patience` ms for them; `undefined` without.
 */
export async function skew(pc, patience = 10_000, good = 80) {
  let best;
  for (let round = 0; round < 3; round += 1) {
    const found = [];
    const end = performance.now() + patience;
    while (found.length < 10 && performance.now() < end) {
      const { audioPlayout, videoPlayout } = await receiving(pc);
      if (audioPlayout && videoPlayout) found.push(audioPlayout - videoPlayout);
      await new Promise((done) => setTimeout(done, 200));
    }
    found.sort((a, b) => a - b);
    const median = found[found.length >> 1];
    if (median === undefined) return undefined;
    if (best === undefined || Math.abs(median) < Math.abs(best)) best = median;
    if (Math.abs(best) < good) break;
  }
  return best;
}

/** Waits until `check()` is true. */
export async function until(check, ms, what) {
  const end = performance.now() + ms;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`${what} within ${ms / 1000} s`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Waits until a session of the page's client is in a state. */
export async function state(session, wanted, ms = 15_000) {
  await until(() => session.state === wanted, ms, `the session is ${session.state}, not ${wanted}`).catch((error) => {
    throw new Error(`the session is ${session.state} (${session.pc.connectionState}), not ${wanted}: ${error.message}`);
  });
}

/** What is received over `seconds` from now on. */
export async function observe(pc, clock, seconds) {
  const before = await receiving(pc);
  clock.reset();
  const [level] = await Promise.all([loudness(pc, seconds * 1000)]);
  const shown = clock.read();
  const after = await receiving(pc);
  const rise = (name) => (after[name] ?? 0) - (before[name] ?? 0);
  return {
    ...after,
    decoded: after.framesDecoded - before.framesDecoded,
    freezes: after.freezeCount === undefined ? undefined : after.freezeCount - before.freezeCount,
    frozen: after.totalFreezesDuration === undefined ? undefined : after.totalFreezesDuration - before.totalFreezesDuration,
    lost: after.packetsLost - before.packetsLost,
    videoBytes: rise('videoBytes'),
    audioNacks: rise('audioNacks'),
    madeUp: rise('concealed') / rise('samples'),
    soundBytes: Math.round(rise('audioBytes') / rise('audioPackets')),
    shown: shown.frames,
    longestGap: shown.longestGap,
    narrowest: shown.narrowest,
    level,
    skew: await skew(pc),
  };
}

/** How strong these tones are in a sound of the last 0.7 s, in dB below full scale. */
export async function tones(track, frequencies) {
  const audio = (globalThis.listening ??= new AudioContext());
  const analyser = new AnalyserNode(audio, { fftSize: 32768, smoothingTimeConstant: 0 });
  audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  await new Promise((done) => setTimeout(done, 1000));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const at = (frequency) => Math.round((frequency * 32768) / audio.sampleRate);
  return frequencies.map((frequency) => Math.round(Math.max(...bins.slice(at(frequency) - 3, at(frequency) + 4))));
}
