// Runs inside a browser page: somebody who watches a meeting as HLS, by an unmodified player, and looks at the clock that
// `Member.clock` publishes.

import { read } from './clock.js';

export class Audience {
  constructor(Hls, url) {
    this.video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
    document.body.append(this.video);
    this.problems = [];
    /** Times that playlists took, in ms, and how many of them were asked for before they were there. */
    this.loads = [];
    this.hls = new Hls({ lowLatencyMode: true });
    this.hls.on(Hls.Events.ERROR, (_, { details, fatal, error }) => this.problems.push(`${details} ${fatal ? 'fatal' : ''} ${error?.message}`));
    this.hls.on(Hls.Events.LEVEL_LOADED, (_, { stats, networkDetails }) =>
      this.loads.push({ ms: stats.loading.end - stats.loading.start, blocking: /_HLS_msn=/.test(networkDetails?.responseURL) }));
    this.hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => (this.details = details));
    this.hls.loadSource(url);
    this.hls.attachMedia(this.video);
    this.video.play().catch((error) => this.problems.push(`play: ${error.message}`));
  }

  /** How far it is, and how long ago in ms what is seen was painted. */
  look() {
    const { video, hls, details } = this;
    return {
      at: video.currentTime,
      width: video.videoWidth,
      age: video.videoWidth > 0 ? read(video) : undefined,
      behind: details && details.edge - video.currentTime,
      target: hls.targetLatency,
      blocking: this.loads.filter((one) => one.blocking).length,
      loads: this.loads.length,
      problems: this.problems,
    };
  }
}
