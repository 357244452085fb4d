/** The image encoder: a CNN whose output grid of regions is the memory. */

import { Linear } from "../kernel/weights.js";
import { ConvStack, relu } from "./cnn.js";

const COLORS = 3;

/** Encodes a square picture as one step a region; `final` is their mean. */
export class ImageEncoder {
  /**
   * @param {import("../kernel/weights.js").Weights} weights
   * @param {object} config
   */
  constructor(weights, config) {
    this.heap = weights.heap;
    this.layers = 1;
    this.states = 1;
    this.bounded = false;
    this.cnn = new ConvStack(weights, "encoder.cnn", config.encoder_convolutions);
    this.projection = new Linear(weights, "encoder.projection", { int8: false });
  }

  /**
   * @param {import("./rnn.js").Source[]} sources
   * @returns {import("./rnn.js").Memory[]} in the heap
   */
  encode(sources) {
    return sources.map((source) => this.#encode(source));
  }

  #encode({ length, values: picture }) {
    const { heap, projection } = this;
    const size = projection.width;
    const maps = { place: heap.store(picture), rows: length, columns: length, channels: COLORS };
    const regions = this.cnn.apply(maps);
    const steps = regions.rows * regions.columns;
    const values = heap.alloc(4 * steps * size);
    projection.apply(regions.place, steps, values);
    relu(heap, values, steps * size);
    const final = heap.zeros(size);
    for (let s = 0; s < steps; s++) heap.kernel.addTo(final, values + 4 * s * size, size);
    const mean = heap.floats(final, size);
    for (let i = 0; i < size; i++) mean[i] /= steps;
    return { steps, values, final, grid: [regions.rows, regions.columns] };
  }
}
