/** Attention of decoder states to the memory of one sentence, for its K hypotheses at once. */

import { Linear, padded } from "./kernel/weights.js";

const NAME = "decoder.rnn.attention";

/** Attention of the kinds none, dot, general, additive and normalized, with or without coverage. */
export class Attention {
  /**
   * @param {import("./kernel/weights.js").Weights} weights
   * @param {object} config
   */
  constructor(weights, config) {
    this.heap = weights.heap;
    this.kind = config.attention;
    this.valueSize = config.encoder_hidden_size;
    this.querySize = config.decoder_hidden_size;
    this.contextSize = this.kind === "none" ? 0 : this.valueSize;
    this.coverage = config.coverage === "sum";
    this.additive = this.kind === "additive" || this.kind === "normalized";
    this.key = weights.has(`${NAME}.key.weight`) ? new Linear(weights, `${NAME}.key`) : null;
    this.query = this.additive ? new Linear(weights, `${NAME}.query`) : null;
    if (this.additive) this.energy = this.#energy(weights);
    if (this.coverage) {
      const project = `${NAME}.history_proj.weight`;
      this.history = this.additive ? column(weights, project) : weights.f32(project);
    }
  }

  /** Add the keys to memories; they may be `values` themselves. */
  precomputeKeys(memories) {
    for (const memory of memories) {
      memory.keys = memory.values;
      if (this.key) {
        memory.keys = this.heap.alloc(4 * memory.steps * this.key.width);
        this.key.apply(memory.values, memory.steps, memory.keys);
      }
    }
  }

  /**
   * Write the contexts of `rows` queries to `contexts`, `stride` numbers apart, and the attention weights to `weights`.
   *
   * @param {number} queries place of rows x H
   * @param {import("./encoder.js").Memory} memory
   * @param {number} weights place of rows x S
   * @param {number} coverage place of rows x S, which is read and updated; 0 without
   */
  attend(queries, rows, memory, weights, contexts, stride, coverage) {
    const { heap } = this;
    const { kernel } = heap;
    const { steps } = memory;
    const mark = heap.mark();
    if (this.additive) {
      const { width } = this.query;
      const projected = heap.alloc(4 * rows * width);
      this.query.apply(queries, rows, projected);
      kernel.additiveScores(
        memory.keys, projected, this.energy, coverage, coverage ? this.history : 0, weights, rows, steps, width,
      );
    } else {
      kernel.product(queries, memory.keys, 0, weights, rows, steps, this.querySize);
      if (coverage) this.#addCoverage(queries, rows, steps, weights, coverage);
    }
    softmax(heap, weights, rows, steps);
    const averages = heap.alloc(4 * rows * this.valueSize);
    kernel.average(weights, memory.values, averages, rows, steps, this.valueSize);
    for (let r = 0; r < rows; r++) {
      heap.copy(averages + 4 * r * this.valueSize, contexts + 4 * r * stride, this.valueSize);
    }
    heap.release(mark);
    if (coverage) {
      const [seen, now] = [heap.floats(coverage, rows * steps), heap.floats(weights, rows * steps)];
      for (let i = 0; i < seen.length; i++) seen[i] += now[i];
    }
  }

  /** Add (V h) f_s to the scores, f_s the attention that step s has received. */
  #addCoverage(queries, rows, steps, weights, coverage) {
    const { heap, querySize } = this;
    const factor = heap.alloc(4 * padded(rows));
    heap.kernel.product(queries, this.history, 0, factor, rows, 1, querySize);
    const [factors, scores] = [heap.floats(factor, rows), heap.floats(weights, rows * steps)];
    const seen = heap.floats(coverage, rows * steps);
    for (let i = 0; i < scores.length; i++) scores[i] += factors[Math.floor(i / steps)] * seen[i];
  }

  #energy(weights) {
    const place = weights.f32(`${NAME}.energy.weight`);
    if (this.kind === "normalized") {
      const gain = this.heap.floats(weights.f32(`${NAME}.gain`), 1)[0];
      const energy = this.heap.floats(place, this.query.width);
      const norm = Math.max(Math.hypot(...energy), 1e-12);
      energy.forEach((each, i) => (energy[i] = (gain * each) / norm));
    }
    return place;
  }
}

/** Turn the rows of scores into weights that sum to 1. */
export function softmax(heap, place, rows, width) {
  for (let r = 0; r < rows; r++) {
    const row = heap.floats(place + 4 * r * width, width);
    const top = row.reduce((most, each) => Math.max(most, each), -Infinity);
    let sum = 0;
    for (let i = 0; i < width; i++) sum += row[i] = Math.exp(row[i] - top);
    for (let i = 0; i < width; i++) row[i] /= sum;
  }
}

/** @returns {number} the place of the single column of a matrix, A x 1 */
function column(weights, name) {
  const [rows] = weights.shape(name);
  const place = weights.heap.zeros(padded(rows));
  for (let r = 0; r < rows; r++) weights.row(name, r, place + 4 * r);
  return place;
}
