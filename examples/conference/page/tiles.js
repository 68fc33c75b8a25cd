// The people on the page: one tile each, as large as the window allows.

const GAP = 10;
const RATIO = 16 / 9;

/** One person. */
export class Tile {
  constructor(list, name, { own = false } = {}) {
    this.element = document.getElementById('tile').content.firstElementChild.cloneNode(true);
    this.video = this.element.querySelector('video');
    this.element.classList.toggle('own', own);
    this.element.classList.add('no-picture');
    this.video.muted = own;
    this.rename(own ? `${name} (you)` : name);
    this.video.addEventListener('resize', () => this.#fit());
    list.append(this.element);
  }

  /** Shows a name, and its first letters where there is no picture. */
  rename(name) {
    this.element.querySelector('.who span').textContent = name;
    this.video.setAttribute('aria-label', name);
    this.element.querySelector('.initials').textContent = name
      .split(/\s+/).slice(0, 2).map((word) => word[0] ?? '').join('').toUpperCase();
  }

  /** Plays a stream; false when the browser wants a click first. */
  async play(stream) {
    if (this.video.srcObject !== stream) this.video.srcObject = stream;
    try {
      await this.video.play();
      return true;
    } catch (error) {
      return error.name !== 'NotAllowedError';
    }
  }

  /** Whether a picture and sound are there. */
  show({ picture, sound }) {
    this.element.classList.toggle('no-picture', !picture);
    this.element.classList.toggle('muted', !sound);
  }

  /** Says something over the picture, by itself or while something goes on; nothing with an empty text. */
  say(text, { busy = true } = {}) {
    const state = this.element.querySelector('.state');
    state.textContent = text;
    state.classList.toggle('busy', busy && text !== '');
  }

  speaking(loud) {
    this.element.classList.toggle('speaking', loud);
  }

  remove() {
    this.video.srcObject = null;
    this.element.remove();
  }

  // A phone held upright sends a tall picture: cutting its head off would be unkind.
  #fit() {
    this.element.classList.toggle('contain', this.video.videoWidth < this.video.videoHeight);
  }
}

/** Keeps the tiles of a list as large as fits, whatever the window and the number of people. */
export function keepLaidOut(list) {
  const layOut = () => {
    const style = getComputedStyle(list);
    const width = list.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const height = list.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    const { columns, size } = largest(list.childElementCount, width, height);
    list.style.setProperty('--columns', columns);
    list.style.setProperty('--tile', `${Math.floor(size)}px`);
  };
  new ResizeObserver(layOut).observe(list);
  new MutationObserver(layOut).observe(list, { childList: true });
}

/** The number of columns that gives the widest tiles; on a narrow page at least half its width, then the list scrolls. */
export function largest(count, width, height) {
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= Math.max(count, 1); columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - GAP * (columns - 1)) / columns;
    const byHeight = ((height - GAP * (rows - 1)) / rows) * RATIO;
    const size = Math.min(byWidth, byHeight);
    if (size > best.size) best = { columns, size };
  }
  const least = Math.min(160, width / 2 - GAP);
  if (best.size < least && count > 0) {
    const columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    best = { columns, size: (width - GAP * (columns - 1)) / columns };
  }
  return best;
}
