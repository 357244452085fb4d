/** Embeddings of tokens, and what a first layer computes of them. */

import { padded } from "./kernel/weights.js";

/** What a first layer computes of a token alone: kept, because the same tokens come again. */
export class TokenGates {
  /**
   * @param {import("./kernel/weights.js").Weights} weights
   * @param {string} table name of the embeddings
   * @param {(x: number, y: number) => void} project from a place of one embedding to one of `width` numbers
   * @param {number} width
   */
  constructor(weights, table, project, width) {
    this.heap = weights.heap;
    this.weights = weights;
    this.table = table;
    this.project = project;
    this.width = width;
    this.x = this.heap.zeros(padded(weights.shape(table)[1]));
    this.y = this.heap.zeros(padded(width));
    /** @type {Map<number, Float32Array>} */
    this.known = new Map();
  }

  /** Write the embedding of a token to a place. */
  embed(id, place) {
    this.weights.row(this.table, id, place);
  }

  /** @returns {Float32Array} */
  get(id) {
    let gates = this.known.get(id);
    if (gates === undefined) {
      this.embed(id, this.x);
      this.project(this.x, this.y);
      gates = this.heap.floats(this.y, this.width).slice();
      this.known.set(id, gates);
    }
    return gates;
  }
}
