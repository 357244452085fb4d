/** Pillow's resizing of pictures by bicubic interpolation, with its rounding: the same pixels. */

const BITS = 22; // of the weights' fractions
const A = -0.5; // of the cubic; Pillow's
const SUPPORT = 2; // of the cubic, in pixels of the smaller picture

/**
 * @typedef {object} Picture
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array} pixels height x width x RGB
 */

/**
 * @param {Picture} picture
 * @param {number} width
 * @param {number} height
 * @param {[number, number, number, number]} [box] left, top, right, bottom of the part to resize
 * @returns {Picture}
 */
export function resize(picture, width, height, box = [0, 0, picture.width, picture.height]) {
  const [left, top, right, bottom] = box.map(Math.fround);
  let found = picture;
  if (width !== picture.width || left !== 0 || right !== width) found = resizeRows(found, width, left, right);
  if (height === picture.height && top === 0 && bottom === height) return found;
  return transpose(resizeRows(transpose(found), height, top, bottom));
}

/** @returns {Picture} with rows of `width` pixels, made of the pixels from `start` to `end` of each */
function resizeRows({ width: before, height, pixels }, width, start, end) {
  const filters = makeFilters(before, width, start, end);
  const found = new Uint8Array(height * width * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = filters[x];
      let [red, green, blue] = [2 ** (BITS - 1), 2 ** (BITS - 1), 2 ** (BITS - 1)];
      let at = 3 * (y * before + first);
      for (const weight of weights) {
        red += weight * pixels[at];
        green += weight * pixels[at + 1];
        blue += weight * pixels[at + 2];
        at += 3;
      }
      const to = 3 * (y * width + x);
      found[to] = clip(red);
      found[to + 1] = clip(green);
      found[to + 2] = clip(blue);
    }
  }
  return { width, height, pixels: found };
}

/** @returns {{first: number, weights: number[]}[]} for each new pixel the first of those it is made of, and their weights */
function makeFilters(before, width, start, end) {
  const scale = Math.fround(end - start) / width;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT * stretch;
  return Array.from({ length: width }, (_, x) => {
    const center = start + (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(before, Math.trunc(center + support + 0.5));
    const values = Array.from({ length: last - first }, (_, i) => cubic((i + first - center + 0.5) / stretch));
    const sum = values.reduce((total, each) => total + each, 0);
    const round = (value) => Math.trunc(value * 2 ** BITS + (value < 0 ? -0.5 : 0.5));
    return { first, weights: values.map((value) => round(value / sum)) };
  });
}

function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * A : 0;
}

function clip(sum) {
  return Math.min(255, Math.max(0, Math.floor(sum / 2 ** BITS)));
}

/** @returns {Picture} with rows for columns */
function transpose({ width, height, pixels }) {
  const found = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let color = 0; color < 3; color++) found[3 * (x * height + y) + color] = pixels[3 * (y * width + x) + color];
    }
  }
  return { width: height, height: width, pixels: found };
}
