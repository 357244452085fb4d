/** The generator: features to logits over the vocabulary, with or without a pointer to the source. */

import { boundedStates } from "./decoder.js";
import { Linear } from "./kernel/weights.js";

const NAME = "decoder.generator";
const TINY = 2 ** -126;

/** Logits in rows of `width` numbers; log-probabilities are logits minus the normalizer of their row. */
export class Generator {
  /**
   * @param {import("./kernel/weights.js").Weights} weights
   * @param {object} config
   * @param {object} encoder
   */
  constructor(weights, config, encoder) {
    this.heap = weights.heap;
    this.project = weights.has(`${NAME}.project.0.weight`) ? new Linear(weights, `${NAME}.project.0`) : null;
    const bounded = !this.project && boundedStates(config, encoder);
    this.output = new Linear(weights, `${NAME}.output`, { bounded });
    this.switch = config.pointer ? new Linear(weights, `${NAME}.switch`) : null;
    this.vocabulary = this.output.outputs;
    this.width = this.output.width;
  }

  /**
   * @param {number} features place of rows x H
   * @param {number} rows
   * @param {import("./decoder.js").Group[]} groups
   * @param {number} temperature that log-probabilities are divided by
   * @returns {{logits: number, normalizers: Float32Array}} the place of rows x width
   */
  apply(features, rows, groups, temperature) {
    const { heap, width } = this;
    let x = features;
    if (this.project) {
      x = heap.alloc(4 * rows * this.project.width);
      this.project.apply(features, rows, x);
    }
    const logits = heap.alloc(4 * rows * width);
    this.output.apply(x, rows, logits);
    const normalizers = this.#normalize(logits, rows);
    if (this.switch) this.#point(features, rows, groups, logits, normalizers);
    if (temperature === 1) return { logits, normalizers };
    const all = heap.floats(logits, rows * width);
    all.forEach((each, i) => (all[i] = (each - normalizers[Math.floor(i / width)]) / temperature));
    return { logits, normalizers: this.#normalize(logits, rows) };
  }

  /** @returns {Float32Array} the logarithm of the sum of the exponentials of each row */
  #normalize(logits, rows) {
    const { heap, width } = this;
    const sums = heap.alloc(8 * rows);
    heap.kernel.peakAndSum(logits, sums, rows, width, this.vocabulary);
    const parts = heap.floats(sums, 2 * rows);
    return Float32Array.from({ length: rows }, (_, r) => parts[2 * r] + Math.log(parts[2 * r + 1]));
  }

  /**
   * P(w) = g P_vocab(w) + (1 - g) sum of the attention to w in the source. Only the logits of the source's tokens change;
   * for all others log g goes into the normalizer.
   */
  #point(features, rows, groups, logits, normalizers) {
    const { heap, width } = this;
    const gate = heap.alloc(4 * rows * this.switch.width);
    this.switch.apply(features, rows, gate);
    let row = 0;
    for (const { memory, rows: count, weights } of groups) {
      for (let r = 0; r < count; r++, row++) {
        const generate = Math.max(1 / (1 + Math.exp(-heap.f32[gate / 4 + row * this.switch.width])), TINY);
        const shift = normalizers[row] - Math.log(generate);
        const attention = heap.floats(weights + 4 * r * memory.steps, memory.steps);
        const copied = new Map();
        memory.copyIds.forEach((id, s) => copied.set(id, (copied.get(id) ?? 0) + attention[s]));
        for (const [id, weight] of copied) {
          const at = logits / 4 + row * width + id;
          const p = generate * Math.exp(heap.f32[at] - normalizers[row]) + (1 - generate) * weight;
          heap.f32[at] = Math.log(Math.max(p, TINY)) + shift;
        }
        normalizers[row] = shift;
      }
    }
  }
}
