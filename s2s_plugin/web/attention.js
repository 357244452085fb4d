/** Attention of decoder states to the memory of one sentence, for its K hypotheses at once. */

import { Linear, padded } from "./kernel/weights.js";

const NAME = "decoder.rnn.attention";
const [FILTER_WIDTH, WINDOW] = [15, 16]; // memory steps that a filter of the location reads; and room for them

/** Attention of the kinds none, dot, general, additive, normalized and location, with or without coverage. */
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
    /** what is kept of earlier steps: none; sum: of all weights; location: the weights of the last step */
    this.history = this.kind === "location" ? this.kind : config.coverage;
    this.additive = ["additive", "normalized", "location"].includes(this.kind);
    this.key = weights.has(`${NAME}.key.weight`) ? new Linear(weights, `${NAME}.key`) : null;
    this.query = this.additive ? new Linear(weights, `${NAME}.query`) : null;
    if (this.additive) this.energy = this.#energy(weights);
    if (this.history === "location") {
      this.location = locationFilters(weights);
    } else if (this.history === "sum") {
      const project = `${NAME}.history_proj.weight`;
      this.coverage = this.additive ? column(weights, project) : weights.f32(project);
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
   * @param {import("./encoders/rnn.js").Memory} memory
   * @param {number} weights place of rows x S
   * @param {number} past place of rows x S, what is kept of earlier steps, which is read and updated; 0 without
   */
  attend(queries, rows, memory, weights, contexts, stride, past) {
    const { heap } = this;
    const { kernel } = heap;
    const { steps } = memory;
    const mark = heap.mark();
    if (this.additive) {
      const { width } = this.query;
      const projected = heap.alloc(4 * rows * width);
      this.query.apply(queries, rows, projected);
      if (this.history === "location") {
        this.#locationScores(memory, projected, past, weights, rows);
      } else {
        const coverage = past ? this.coverage : 0;
        kernel.additiveScores(memory.keys, projected, this.energy, past, coverage, weights, rows, steps, width);
      }
    } else {
      kernel.product(queries, memory.keys, 0, weights, rows, steps, this.querySize);
      if (past) this.#addCoverage(queries, rows, steps, weights, past);
    }
    softmax(heap, weights, rows, steps);
    const averages = heap.alloc(4 * rows * this.valueSize);
    kernel.average(weights, memory.values, averages, rows, steps, this.valueSize);
    for (let r = 0; r < rows; r++) {
      heap.copy(averages + 4 * r * this.valueSize, contexts + 4 * r * stride, this.valueSize);
    }
    heap.release(mark);
    if (this.history === "location") {
      heap.copy(weights, past, rows * steps);
    } else if (past) {
      const [seen, now] = [heap.floats(past, rows * steps), heap.floats(weights, rows * steps)];
      for (let i = 0; i < seen.length; i++) seen[i] += now[i];
    }
  }

  /** Write scores whose keys have a convolution over the weights of the last step in them, for each row its own. */
  #locationScores({ keys, steps }, queries, past, scores, rows) {
    const { heap, location } = this;
    const { width } = this.query;
    const [windows, own] = [heap.alloc(4 * steps * WINDOW), heap.alloc(4 * steps * width)];
    for (let r = 0; r < rows; r++) {
      const before = heap.floats(past + 4 * r * steps, steps);
      const view = heap.floats(windows, steps * WINDOW);
      for (let i = 0; i < view.length; i++) {
        view[i] = before[Math.floor(i / WINDOW) + (i % WINDOW) - Math.floor(FILTER_WIDTH / 2)] ?? 0;
      }
      heap.kernel.product(windows, location, 0, own, steps, width, WINDOW);
      heap.kernel.addTo(own, keys, steps * width);
      const score = scores + 4 * r * steps;
      heap.kernel.additiveScores(own, queries + 4 * r * width, this.energy, 0, 0, score, 1, steps, width);
    }
  }

  /** Add (V h) f_s to the scores, f_s the attention that step s has received. */
  #addCoverage(queries, rows, steps, weights, past) {
    const { heap, querySize } = this;
    const factor = heap.alloc(4 * padded(rows));
    heap.kernel.product(queries, this.coverage, 0, factor, rows, 1, querySize);
    const [factors, scores] = [heap.floats(factor, rows), heap.floats(weights, rows * steps)];
    const seen = heap.floats(past, rows * steps);
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

/** @returns {number} the place of A x WINDOW: the filters of the location, projected to the A units of the keys */
function locationFilters(weights) {
  const { heap } = weights;
  const filters = weights.floats(`${NAME}.history.filters.weight`); // F x 1 x FILTER_WIDTH
  const count = filters.length / FILTER_WIDTH;
  const [units] = weights.shape(`${NAME}.history_proj.weight`);
  const place = heap.zeros(units * WINDOW);
  const project = heap.floats(weights.f32(`${NAME}.history_proj.weight`), units * count).slice();
  const joined = heap.floats(place, units * WINDOW);
  for (let unit = 0; unit < units; unit++) {
    for (let f = 0; f < count; f++) {
      for (let k = 0; k < FILTER_WIDTH; k++) {
        joined[unit * WINDOW + k] += project[unit * count + f] * filters[f * FILTER_WIDTH + k];
      }
    }
  }
  return place;
}

/** @returns {number} the place of the single column of a matrix, A x 1 */
function column(weights, name) {
  const [rows] = weights.shape(name);
  const place = weights.heap.zeros(padded(rows));
  for (let r = 0; r < rows; r++) weights.row(name, r, place + 4 * r);
  return place;
}
