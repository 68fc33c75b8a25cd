// Where the tiles lie: all alike in a grid, or one large and the others in a strip beside it. Only arithmetic: no elements.

/** Between two tiles, in CSS pixels. */
const GAP = 8;
/** Smallest tile of a grid, in CSS pixels. */
const SMALLEST = { width: 140, height: 100 };
/** Most tiles on one page: each is a picture to receive and to decode. */
const MOST = 25;
/** A tile is never wider for its height than this, nor narrower: on an area that is wide, and on one that is high. */
const WIDEST = 16 / 9;
const NARROWEST = { wide: 1.15, high: 1 };

/** A grid on an area of `width` by `height`: how many tiles fit on a page, and a page with so many of them. */
export function grid(width, height) {
  const perPage = Math.min(MOST, fit(width, SMALLEST.width) * fit(height, SMALLEST.height));
  return { perPage, place: (count) => places(count, width, height) };
}

/** The rectangles of so many tiles, as large as can be, the last row in the middle. */
function places(count, width, height) {
  let best = { area: -1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cell = { width: (width - GAP * (columns - 1)) / columns, height: (height - GAP * (rows - 1)) / rows };
    const tile = shaped(cell, width > height ? NARROWEST.wide : NARROWEST.high);
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
function shaped({ width, height }, narrowest) {
  const ratio = Math.min(WIDEST, Math.max(narrowest, width / height));
  return width / height > ratio ? { width: height * ratio, height } : { width, height: width / ratio };
}

/**
 * One large tile, and a strip for `others`: on the right where there is room, below where it is narrow. `flat`: the large one
 * is a screen, which needs no height.
 */
export function focus(width, height, others, flat) {
  if (others === 0) return { perPage: 0, main: { left: 0, top: 0, width, height }, place: () => [] };
  return width > 640 && width > height ? strip(width, height) : rows(width, height, flat);
}

function strip(width, height) {
  const tileWidth = Math.min(240, Math.max(160, width * 0.18));
  const tile = { width: tileWidth, height: tileWidth / WIDEST };
  const top = (count) => (height - count * tile.height - (count - 1) * GAP) / 2;
  return {
    perPage: fit(height, tile.height),
    main: { left: 0, top: 0, width: width - tile.width - GAP, height },
    place: (count) => Array.from({ length: count }, (_, row) => ({ left: width - tile.width, top: top(count) + row * (tile.height + GAP), ...tile })),
  };
}

function rows(width, height, flat) {
  const columns = fit(width, 110);
  const tileWidth = (width - GAP * (columns - 1)) / columns;
  const tile = { width: tileWidth, height: Math.min(tileWidth / (4 / 3), height / 3) };
  const most = height - tile.height - GAP;
  const main = { left: 0, top: 0, width, height: Math.min(most, flat ? width / (4 / 3) : width / NARROWEST.high) };
  const inRow = (row, count) => Math.min(columns, count - row * columns);
  const left = (row, count) => (width - inRow(row, count) * tile.width - (inRow(row, count) - 1) * GAP) / 2;
  return {
    perPage: columns * fit(height - main.height - GAP, tile.height),
    main,
    place: (count) => Array.from({ length: count }, (_, index) => {
      const row = Math.floor(index / columns);
      const across = left(row, count) + (index - row * columns) * (tile.width + GAP);
      return { left: across, top: main.height + GAP + row * (tile.height + GAP), ...tile };
    }),
  };
}

/** How many of this size, with gaps between, fit into a whole; at least one. */
const fit = (whole, one) => Math.max(1, Math.floor((whole + GAP) / (one + GAP)));
