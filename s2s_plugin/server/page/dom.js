/** Elements, numbers and tokens as the views show them. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element.
 * @param {string} tag
 * @param {Object<string, any>} [attributes] `onclick` and the like listen; `style` is an object; null is left out
 * @param {...(Node|string)} children
 * @returns {any} an element
 */
export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element, as html() does. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") {
      // The page's Content-Security-Policy forbids the attribute.
      for (const [property, each] of Object.entries(value)) element.style.setProperty(property, String(each));
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** Return a token as people read it. */
export function label(token) {
  if (token === "</s>") return "end";
  return token.replaceAll("\u2581", "") || "\u2423";
}

/** Return whether tokens are parts of words: U+2581 marks those that begin one; else each is a word. */
export function areParts(tokens) {
  return tokens.some((token) => token.includes("\u2581"));
}

/** Return whether a token begins a word; `parts`: see areParts(). */
export function beginsWord(token, parts) {
  return !parts || token.startsWith("\u2581") || token === "</s>";
}

/** Return a share of 1 in percent. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** Return a number with two digits, and a minus sign that is none of a hyphen. */
export function decimal(number) {
  return number.toFixed(2).replace("-", "\u2212");
}

/**
 * Move the focus among elements by arrow keys; only one of them is a stop of the Tab key.
 * @param {HTMLElement[]} elements
 * @param {(place: number, key: string) => number} next the place to go to, or -1
 */
export function roveFocus(elements, next) {
  elements.forEach((element, place) => {
    element.tabIndex = place === 0 ? 0 : -1;
    element.addEventListener("focus", () => elements.forEach((each) => (each.tabIndex = each === element ? 0 : -1)));
    element.addEventListener("keydown", (event) => {
      const target = elements[next(place, event.key)];
      if (target === undefined) return;
      event.preventDefault();
      target.focus();
    });
  });
}

/** Return where an arrow key leads in a row or column of `count` elements; -1 for any other key. */
export function alongRow(place, key, count) {
  const [before, after] = [place - 1, place + 1];
  const places = { ArrowLeft: before, ArrowUp: before, ArrowRight: after, ArrowDown: after, Home: 0, End: count - 1 };
  return Math.min(count - 1, places[key] ?? -1);
}
