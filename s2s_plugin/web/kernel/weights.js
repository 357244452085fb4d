/** The weights of a model in the heap, and its linear layers. */

const MIN_INT8 = 2 ** 14; // numbers in a matrix whose products the decoder computes in int8, as in Python

/** @typedef {{shape: number[], at: number, scale?: number}} Tensor int8 if it has a scale for each row, else float32 */

/** The tensors of a model by name. */
export class Weights {
  /**
   * @param {import("./heap.js").Heap} heap
   * @param {Record<string, Tensor>} tensors with places in `bytes`
   * @param {Uint8Array} bytes
   */
  constructor(heap, tensors, bytes) {
    this.heap = heap;
    this.tensors = tensors;
    this.start = heap.store(bytes);
  }

  has(name) {
    return name in this.tensors;
  }

  /** @returns {number[]} */
  shape(name) {
    return this.tensors[name].shape;
  }

  /** @returns {{weights: number, scales: number} | null} the places of a matrix in int8 and of the scales of its rows */
  int8(name) {
    const { at, scale } = this.tensors[name];
    return scale === undefined ? null : { weights: this.start + at, scales: this.start + scale };
  }

  /** Write row `index` of a matrix, or a vector (row 0), as float32 to a place. */
  row(name, index, place) {
    const { shape, at, scale } = this.tensors[name];
    const width = shape[shape.length - 1];
    const { f32, i8 } = this.heap;
    if (scale === undefined) {
      this.heap.copy(this.start + at + 4 * index * width, place, width);
      return;
    }
    const step = f32[(this.start + scale) / 4 + index];
    const from = this.start + at + index * width;
    for (let i = 0; i < width; i++) f32[place / 4 + i] = i8[from + i] * step;
  }

  /** @returns {Float32Array} a copy of a tensor that is stored in float32, of any dimensions */
  floats(name) {
    const { shape, at } = this.tensors[name];
    return this.heap.floats(this.start + at, shape.reduce((product, each) => product * each, 1)).slice();
  }

  /** @returns {number} the place of a tensor of one or two dimensions in float32, with zero rows up to a multiple of 4 */
  f32(name) {
    const { shape } = this.tensors[name];
    const [rows, width] = shape.length === 1 ? [1, shape[0]] : shape;
    const place = this.heap.zeros(shape.length === 1 ? padded(width) : padded(rows) * width);
    for (let r = 0; r < rows; r++) this.row(name, r, place + 4 * r * width);
    return place;
  }
}

/** @returns {number} a number of outputs rounded up to a multiple of 4 */
export function padded(count) {
  return Math.ceil(count / 4) * 4;
}

/** A linear layer, y = W x + b; in int8 where Python's search computes it so. Rows of y have `width` numbers. */
export class Linear {
  /**
   * @param {Weights} weights
   * @param {string} name
   * @param {{bounded?: boolean, exact?: boolean, int8?: boolean}} [options] bounded: inputs are in [-1, 1]; exact: inputs
   *   are rows of a matrix in int8, which int8 represents exactly; int8: false computes in float32
   */
  constructor(weights, name, { bounded = false, exact = false, int8 = true } = {}) {
    this.heap = weights.heap;
    const { heap } = this;
    [this.outputs, this.inputs] = weights.shape(`${name}.weight`);
    this.width = padded(this.outputs);
    this.bounded = bounded ? 1 : 0;
    this.bias = weights.has(`${name}.bias`) ? weights.f32(`${name}.bias`) : 0;
    const isLarge = this.outputs * this.inputs >= MIN_INT8;
    this.int8 = int8 && (isLarge || exact) ? weights.int8(`${name}.weight`) : null;
    if (this.int8 && this.width > this.outputs) {
      const count = this.outputs * this.inputs;
      const place = heap.zeros((this.width * this.inputs) / 4);
      heap.i8.copyWithin(place, this.int8.weights, this.int8.weights + count);
      const scales = heap.zeros(this.width);
      heap.copy(this.int8.scales, scales, this.outputs);
      this.int8 = { weights: place, scales };
    }
    if (!this.int8) this.weight = weights.f32(`${name}.weight`);
  }

  /** Write W x + b for rows of x to y. */
  apply(x, rows, y) {
    const { heap, inputs, width } = this;
    if (!this.int8) {
      heap.kernel.product(x, this.weight, this.bias, y, rows, width, inputs);
      return;
    }
    const mark = heap.mark();
    const quantized = heap.alloc(2 * rows * inputs);
    const scales = heap.alloc(4 * rows);
    heap.kernel.quantize(x, quantized, scales, rows, inputs, this.bounded);
    const { weights, scales: steps } = this.int8;
    heap.kernel.productInt8(quantized, scales, weights, steps, this.bias, y, rows, width, inputs);
    heap.release(mark);
  }
}
