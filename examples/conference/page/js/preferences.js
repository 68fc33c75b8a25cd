// What this browser remembers of a person. A browser that may not keep anything forgets it with the page.

const kept = new Map();

/** What was kept under this name, or `otherwise`. */
export function recall(name, otherwise) {
  try {
    const text = localStorage.getItem(name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return kept.get(name) ?? otherwise;
  }
}

/** Keeps something that JSON can say. */
export function keep(name, value) {
  kept.set(name, value);
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {} // not allowed, or full: it is kept in memory
}
