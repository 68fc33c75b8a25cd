// Picture in picture: who speaks (or what is shared) in a small window that stays on top of everything.

import { at } from './dom.js';
import { notice } from './news.js';

export class Float {
  #track;
  #video;

  /** `leading()` gives the track to show. */
  constructor({ signal }, leading) {
    this.leading = leading;
    at('float').hidden = !document.pictureInPictureEnabled;
    at('float').addEventListener('click', () => this.toggle(), { signal });
    signal.addEventListener('abort', () => this.#end());
  }

  async toggle() {
    if (this.#video) return this.#end();
    if (!this.leading()) return notice('There is no picture of others yet.');
    this.#video = Object.assign(document.createElement('video'), { muted: true, playsInline: true, autoplay: true, className: 'floating' });
    this.#video.setAttribute('aria-hidden', 'true');
    this.#video.addEventListener('leavepictureinpicture', () => this.#end());
    document.body.append(this.#video);
    this.follow();
    try {
      await this.#video.play();
      await this.#video.requestPictureInPicture();
      at('float').setAttribute('aria-pressed', true);
    } catch (error) {
      this.#end();
      notice(`The browser does not show a window of its own: ${error.message}`);
    }
    return undefined;
  }

  /** Shows what matters most now. */
  follow() {
    if (!this.#video) return;
    const track = this.leading();
    if (!track || track === this.#track) return;
    this.#track?.detach(this.#video);
    this.#track = track;
    track.attach(this.#video);
  }

  #end() {
    const video = this.#video;
    this.#video = undefined;
    if (document.pictureInPictureElement) document.exitPictureInPicture().catch(() => {}); // it is closed already
    if (video) this.#track?.detach(video);
    this.#track = undefined;
    video?.remove();
    at('float').setAttribute('aria-pressed', false);
  }
}
