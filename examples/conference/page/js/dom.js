// Finding and making elements. Text from others goes into the page only as text, by `textContent`.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/** All elements that a selector finds. */
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/** A copy of what a template holds. */
export const copy = (template) => at(template).content.firstElementChild.cloneNode(true);

/** Shows another icon in a button or other element that holds one. */
export function icon(element, name) {
  const use = element.querySelector('use');
  if (use.getAttribute('href') !== `#icon-${name}`) use.setAttribute('href', `#icon-${name}`);
}

/** Sets a text, unless it is there already: what is set again is read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a level, 0 to 1, in an element of the class `level`. */
export function level(element, value) {
  const percent = Math.round(Math.min(1, value) * 100);
  element.setAttribute('aria-valuenow', percent);
  element.firstElementChild.style.setProperty('transform', `scaleX(${percent / 100})`);
}

/** The first letters of a name, for where there is no picture. */
export function initials(name) {
  const first = (word) => [...word][0] ?? '';
  return name.trim().split(/\s+/).slice(0, 2).map(first).join('').toUpperCase();
}

/** One of eight colours for somebody, always the same. */
export function colour(identity) {
  let sum = 0;
  for (const letter of identity) sum = (sum * 31 + letter.codePointAt(0)) % 997;
  return `colour-${sum % 8}`;
}
