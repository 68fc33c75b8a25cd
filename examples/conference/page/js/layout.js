// Where the tiles lie: all alike in a grid, or one large and the others in a strip beside it. Only arithmetic: no elements.

/** Between two tiles, in CSS pixels. */
const GAP = 8;
/** Smallest tile of a grid, in CSS pixels. */
const SMALLEST = { width: 150, height: 100 };
/** Most tiles on one page: each is a picture to receive and to decode. */
const MOST = 25;
/** A tile is never wider (for its height) than the first, nor narrower than the second. */
const WIDEST = 16 / 9;
const NARROWEST = 1.15;

/** A grid on an area of `width` by `height`: how many tiles fit on a page, and a page with so many of them. */
export function grid(width, height) {
  const fit = (whole, one) => Math.max(1, Math.floor((whole + GAP) / (one + GAP)));
  const perPage = Math.min(MOST, fit(width, SMALLEST.width) * fit(height, SMALLEST.height));
  return { perPage, place: (count) => places(count, width, height) };
}

/** The rectangles of so many tiles, as large as can be, the last row in the middle. */
function places(count, width, height) {
  let best = { area: -1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cell = { width: (width - GAP * (columns - 1)) / columns, height: (height - GAP * (rows - 1)) / rows };
    const tile = shaped(cell);
    const area = tile.width * tile.height;
    if (area > best.area) best = { area, columns, rows, tile };
  }
  const { columns, rows, tile } = best;
  const top = (height - rows * tile.height - (rows - 1) * GAP) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = (width - inRow * tile.width - (inRow - 1) * GAP) / 2;
    const column = index - row * columns;
    return { left: left + column * (tile.width + GAP), top: top + row * (tile.height + GAP), ...tile };
  });
}

/** The largest tile of a good shape inside a cell. */
function shaped({ width, height }) {
  const ratio = Math.min(WIDEST, Math.max(NARROWEST, width / height));
  return width / height > ratio ? { width: height * ratio, height } : { width, height: width / ratio };
}

/** One large tile, and a strip for `others`: on the right where there is room, below on narrow screens. */
export function focus(width, height, others) {
  if (others === 0) return { perPage: 0, main: { left: 0, top: 0, width, height }, place: () => [] };
  const beside = width > 640 && width > height;
  const tileWidth = beside ? Math.min(240, Math.max(160, width * 0.18)) : Math.min(160, (width - 2 * GAP) / 3);
  const tile = { width: tileWidth, height: tileWidth / (beside ? WIDEST : 4 / 3) };
  const perPage = beside
    ? Math.max(1, Math.floor((height + GAP) / (tile.height + GAP)))
    : Math.max(1, Math.floor((width + GAP) / (tile.width + GAP)));
  const main = beside
    ? { left: 0, top: 0, width: width - tile.width - GAP, height }
    : { left: 0, top: 0, width, height: height - tile.height - GAP };
  const place = (count) => Array.from({ length: count }, (_, index) => (beside
    ? { left: width - tile.width, top: (height - count * tile.height - (count - 1) * GAP) / 2 + index * (tile.height + GAP), ...tile }
    : { left: (width - count * tile.width - (count - 1) * GAP) / 2 + index * (tile.width + GAP), top: height - tile.height, ...tile }));
  return { perPage, main, place };
}
