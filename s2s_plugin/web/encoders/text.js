/** The text encoder: embedded tokens through recurrent layers. */

import { TokenGates } from "../embedding.js";
import { RecurrentStack } from "./rnn.js";

/** Encodes tokens, in their order or in the reverse one. */
export class TextEncoder {
  /**
   * @param {import("../kernel/weights.js").Weights} weights
   * @param {object} config
   */
  constructor(weights, config) {
    this.heap = weights.heap;
    this.reversed = config.encoder_reversed;
    this.eos = config.encoder_eos ?? true;
    this.stack = new RecurrentStack(weights, config);
    this.layers = this.stack.layers.length;
    this.states = this.stack.states;
    this.bounded = true;
    const { directions } = this.stack.layers[0];
    this.tokens = new TokenGates(weights, "encoder.embedding.table.weight", (x, y) => {
      let place = y;
      for (const direction of directions) {
        direction.project(x, 1, place);
        place += 4 * direction.width;
      }
    }, directions.reduce((sum, each) => sum + each.width, 0));
  }

  /**
   * @param {import("./rnn.js").Source[]} sources the longest first
   * @returns {import("./rnn.js").Memory[]} in the heap
   */
  encode(sources) {
    const { size } = this.stack;
    const rows = sources.map(({ ids }) => (this.eos ? [...ids] : ids.slice(0, -1)));
    const ids = rows.flatMap((row) => (this.reversed ? row.reverse() : row));
    const lengths = rows.map(({ length }) => length);
    const memories = this.stack.run(lengths, () => this.#embedded(ids), (which) => this.#gates(ids, which));
    if (this.reversed) for (const { values, steps } of memories) reverseRows(this.heap, values, steps, size);
    return memories;
  }

  /** @returns {number} the place of the gates of a direction of the first layer, a row for each token */
  #gates(ids, which) {
    const { heap } = this;
    const { directions } = this.stack.layers[0];
    const { width } = directions[which];
    const start = which * directions[0].width;
    const gates = heap.alloc(4 * ids.length * width);
    ids.forEach((id, row) => {
      const known = this.tokens.get(id).subarray(start, start + width);
      heap.f32.set(known, gates / 4 + row * width);
    });
    return gates;
  }

  /** @returns {number} the place of the embeddings, a row for each token */
  #embedded(ids) {
    const { heap, stack } = this;
    const place = heap.zeros(ids.length * stack.size);
    ids.forEach((id, row) => this.tokens.embed(id, place + 4 * row * stack.size));
    return place;
  }
}

function reverseRows(heap, place, rows, width) {
  const view = heap.floats(place, rows * width);
  const copy = view.slice();
  for (let r = 0; r < rows; r++) view.set(copy.subarray(r * width, (r + 1) * width), (rows - 1 - r) * width);
}
