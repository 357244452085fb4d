/** Square RGB pixels of pictures, see s2s_plugin/datasets/frontends/image.py. */

import { resize } from "./resize.js";

const WHITE = 255;

/** Pictures as an image encoder reads them; a source step is a row. */
export class ImageFrontend {
  /** @param {{size: number, fit: "crop" | "pad", max_megapixels: number}} options */
  constructor(options) {
    this.options = options;
  }

  /**
   * @param {import("./resize.js").Picture} picture
   * @returns {import("../encoders/rnn.js").Source} values between -1 and 1, size x size x RGB, and the pixels
   */
  read(picture) {
    const { size, fit, max_megapixels: limit } = this.options;
    const megapixels = (picture.width * picture.height) / 1e6;
    if (megapixels > limit) throw new Error(`must have at most ${limit} megapixels, got ${Math.round(megapixels)}`);
    const { pixels } = fit === "crop" ? crop(picture, size) : pad(picture, size);
    return { length: size, values: Float32Array.from(pixels, (value) => Math.fround(value / 127.5) - 1), pixels };
  }

  /** @returns {import("../../server/page/types.js").Signal} a source and what its memory steps cover, for display */
  show({ pixels }, { grid }) {
    const { size } = this.options;
    return { kind: "image", pixels, frames: 1, height: size, width: size, channels: 3, grid };
  }
}

/** Cut the longer side, as Pillow's ImageOps.fit does. */
function crop(picture, size) {
  const { width, height } = picture;
  const side = Math.min(width, height);
  const [left, top] = [(width - side) * 0.5, (height - side) * 0.5];
  return resize(picture, size, size, [left, top, left + side, top + side]);
}

/** Extend the shorter side by white, as Pillow's ImageOps.pad does. */
function pad(picture, size) {
  const { width, height } = picture;
  const shorter = (a, b) => Math.max(1, roundHalfToEven((a / b) * size));
  const [columns, rows] = width > height ? [size, shorter(height, width)] : [shorter(width, height), size];
  const small = resize(picture, columns, rows);
  const pixels = new Uint8Array(size * size * 3).fill(WHITE);
  const [left, top] = [roundHalfToEven((size - columns) * 0.5), roundHalfToEven((size - rows) * 0.5)];
  for (let y = 0; y < rows; y++) {
    const row = small.pixels.subarray(3 * y * columns, 3 * (y + 1) * columns);
    pixels.set(row, 3 * ((top + y) * size + left));
  }
  return { width: size, height: size, pixels };
}

function roundHalfToEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
