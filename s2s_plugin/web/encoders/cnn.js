/** Convolutions over pictures and spectrograms, in float32. */

const EPSILON = 1e-5; // of the normalization, as in torch
const UNIT = 8; // numbers that the kernel reads at once

/**
 * @typedef {object} Maps feature maps in the heap
 * @property {number} place of rows x columns x channels
 * @property {number} rows
 * @property {number} columns
 * @property {number} channels
 */

/** A convolution of any size: each output row is a matrix product with the patches below it. */
export class Convolution {
  /**
   * @param {import("../kernel/weights.js").Weights} weights
   * @param {string} name
   * @param {{stride: number, padding: number}} options
   */
  constructor(weights, name, { stride, padding }) {
    this.heap = weights.heap;
    this.stride = stride;
    this.padding = padding;
    const [outputs, channels, height, width] = weights.shape(`${name}.weight`);
    Object.assign(this, { outputs, channels, height, width });
    this.inputs = Math.ceil((height * width * channels) / UNIT) * UNIT;
    this.weight = this.heap.zeros(outputs * this.inputs);
    this.bias = weights.has(`${name}.bias`) ? weights.f32(`${name}.bias`) : 0;
    const from = weights.floats(`${name}.weight`); // outputs x channels x height x width; here channels come last
    const to = this.heap.floats(this.weight, outputs * this.inputs);
    for (let at = 0; at < from.length; at++) {
      const place = at % (height * width);
      const channel = Math.floor(at / (height * width)) % channels;
      to[Math.floor(at / (height * width * channels)) * this.inputs + place * channels + channel] = from[at];
    }
  }

  /** @returns {Maps} */
  apply(maps) {
    const { heap, stride, padding, outputs, inputs } = this;
    const rows = Math.floor((maps.rows + 2 * padding - this.height) / stride) + 1;
    const columns = Math.floor((maps.columns + 2 * padding - this.width) / stride) + 1;
    const place = heap.alloc(4 * rows * columns * outputs);
    const mark = heap.mark();
    const patches = heap.alloc(4 * columns * inputs);
    for (let row = 0; row < rows; row++) {
      this.#collect(maps, row * stride - padding, columns, patches);
      heap.kernel.product(patches, this.weight, this.bias, place + 4 * row * columns * outputs, columns, outputs, inputs);
    }
    heap.release(mark);
    return { place, rows, columns, channels: outputs };
  }

  /** Write the patches of an output row, whose first row of the input is `top`; zeros beyond the edges. */
  #collect(maps, top, columns, patches) {
    const { heap, stride, padding, height, width, inputs } = this;
    const { channels } = maps;
    heap.f32.fill(0, patches / 4, patches / 4 + columns * inputs);
    for (let y = Math.max(0, -top); y < height && top + y < maps.rows; y++) {
      const source = maps.place + 4 * (top + y) * maps.columns * channels;
      for (let column = 0; column < columns; column++) {
        const left = column * stride - padding;
        const [first, end] = [Math.max(0, -left), Math.min(width, maps.columns - left)];
        const target = patches + 4 * (column * inputs + (y * width + first) * channels);
        heap.copy(source + 4 * (left + first) * channels, target, (end - first) * channels);
      }
    }
  }
}

/** Replace negative numbers by 0. */
export function relu(heap, place, count) {
  const values = heap.floats(place, count);
  for (let i = 0; i < count; i++) if (values[i] < 0) values[i] = 0;
}

/** Group normalization, in place. */
class GroupNorm {
  constructor(weights, name) {
    this.heap = weights.heap;
    this.weight = weights.floats(`${name}.weight`);
    this.bias = weights.floats(`${name}.bias`);
    const channels = this.weight.length;
    this.groups = [8, 4, 2, 1].find((count) => channels % count === 0 && (channels >= 8 * count || count === 1));
  }

  apply({ place, rows, columns, channels }) {
    const [count, size] = [rows * columns, channels / this.groups];
    const values = this.heap.floats(place, count * channels);
    for (let start = 0; start < channels; start += size) {
      let [sum, squares] = [0, 0];
      const visit = (change) => {
        for (let i = 0; i < count; i++) for (let c = start; c < start + size; c++) change(i * channels + c, c);
      };
      visit((at) => (sum += values[at]));
      const mean = sum / (count * size);
      visit((at) => (squares += (values[at] - mean) ** 2));
      const scale = 1 / Math.sqrt(squares / (count * size) + EPSILON);
      visit((at, c) => (values[at] = (values[at] - mean) * scale * this.weight[c] + this.bias[c]));
    }
  }
}

/** Two convolutions with a shortcut. */
class ResidualBlock {
  constructor(weights, name) {
    this.heap = weights.heap;
    this.first = new Convolution(weights, `${name}.first`, { stride: 2, padding: 1 });
    this.firstNorm = new GroupNorm(weights, `${name}.first_norm`);
    this.second = new Convolution(weights, `${name}.second`, { stride: 1, padding: 1 });
    this.secondNorm = new GroupNorm(weights, `${name}.second_norm`);
    this.shortcut = new Convolution(weights, `${name}.shortcut`, { stride: 2, padding: 0 });
  }

  /** @returns {Maps} */
  apply(maps) {
    const { heap } = this;
    const hidden = this.first.apply(maps);
    this.firstNorm.apply(hidden);
    relu(heap, hidden.place, hidden.rows * hidden.columns * hidden.channels);
    const output = this.second.apply(hidden);
    this.secondNorm.apply(output);
    const count = output.rows * output.columns * output.channels;
    heap.kernel.addTo(output.place, this.shortcut.apply(maps).place, count);
    relu(heap, output.place, count);
    return output;
  }
}

/** A stem and residual blocks; each halves rows and columns and doubles the channels. */
export class ConvStack {
  /**
   * @param {import("../kernel/weights.js").Weights} weights
   * @param {string} name
   * @param {number} blocks
   */
  constructor(weights, name, blocks) {
    this.heap = weights.heap;
    this.stem = new Convolution(weights, `${name}.0`, { stride: 2, padding: 2 });
    this.norm = new GroupNorm(weights, `${name}.1`);
    this.blocks = Array.from({ length: blocks }, (_, i) => new ResidualBlock(weights, `${name}.${i + 3}`));
  }

  /** @returns {Maps} */
  apply(maps) {
    const hidden = this.stem.apply(maps);
    this.norm.apply(hidden);
    relu(this.heap, hidden.place, hidden.rows * hidden.columns * hidden.channels);
    return this.blocks.reduce((output, block) => block.apply(output), hidden);
  }
}
