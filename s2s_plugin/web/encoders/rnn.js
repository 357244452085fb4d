/** Recurrent layers over sequences of any modality, in float32 as in Python's int8 search. */

/**
 * @typedef {object} Source of an encoder
 * @property {number} length in source steps: tokens with </s>, rows of a picture, frames
 * @property {number[]} [ids] of a text
 * @property {string} [text]
 * @property {Float32Array} [values] of a signal
 * @property {Uint8Array} [pixels] of a picture, as it was
 *
 * @typedef {object} Memory an encoded source of S steps
 * @property {number} steps S
 * @property {number} values place of S x D
 * @property {number} final place of layers x states x D
 * @property {number} [keys] place of what attention computes once
 * @property {number[]} [copyIds] target ids of the S tokens
 * @property {[number, number]} [grid] rows and columns of the S regions of a picture
 */

const GATES = { lstm: 4, gru: 3, rnn: 1 };

/** The layers of an encoder. */
export class RecurrentStack {
  /**
   * @param {import("../kernel/weights.js").Weights} weights
   * @param {object} config options of the model, by their names in Python
   */
  constructor(weights, config) {
    this.heap = weights.heap;
    const { encoder_layers: layers, encoder_hidden_size: size, encoder_bidirectional: both } = config;
    this.size = size;
    const twoWay = { all: layers, first: 1, none: 0 }[both];
    const keepsCells = config.bridge === "copy" && config.decoder_cell === "lstm" && config.encoder_cell === "lstm";
    this.states = keepsCells ? 2 : 1;
    this.layers = Array.from({ length: layers }, (_, number) => {
      const directions = number < twoWay ? 2 : 1;
      const name = `encoder.stack.layers.${number}.directions`;
      return {
        directions: Array.from({ length: directions }, (_, each) =>
          new Direction(weights, `${name}.${each}`, config.encoder_cell, size / directions),
        ),
        residual: config.residual && weights.shape(`${name}.0.weight_ih_l0`)[1] === size,
        norm: config.layer_norm ? new Norm(weights, `encoder.stack.norms.${number}`, size) : null,
      };
    });
  }

  /**
   * @param {number[]} lengths steps of each source, the longest first; their rows follow each other
   * @param {() => number} inputs place of the first layer's inputs, all steps x E
   * @param {((direction: number) => number) | null} [firstGates] place of the inputs projected by a direction of the first
   *   layer, where these are known
   * @returns {Memory[]}
   */
  run(lengths, inputs, firstGates = null) {
    const { heap, size } = this;
    const total = lengths.reduce((sum, each) => sum + each, 0);
    const starts = prefixSums(lengths);
    const finals = heap.zeros(lengths.length * this.layers.length * this.states * size);
    let below = 0;
    this.layers.forEach((layer, number) => {
      const outputs = heap.zeros(total * size);
      const final = (b, state) => finals + 4 * size * ((b * this.layers.length + number) * this.states + state);
      let offset = 0;
      layer.directions.forEach((direction, which) => {
        const gates = number === 0 && firstGates
          ? firstGates(which)
          : direction.projectAll(number === 0 ? inputs() : below, total);
        direction.run(gates, lengths, starts, which === 1, outputs, size, offset, (b, state) => final(b, state) + 4 * offset,
          this.states);
        offset += direction.units;
      });
      if (layer.residual) heap.kernel.addTo(outputs, number === 0 ? inputs() : below, total * size);
      if (layer.norm) layer.norm.apply(outputs, total);
      below = outputs;
    });
    return lengths.map((steps, b) => ({
      steps,
      values: below + 4 * starts[b] * size,
      final: finals + 4 * b * this.layers.length * this.states * size,
    }));
  }
}

/** One direction of a recurrent layer. */
class Direction {
  constructor(weights, name, cell, units) {
    this.heap = weights.heap;
    this.cell = cell;
    this.units = units;
    this.width = GATES[cell] * units;
    this.inputs = weights.shape(`${name}.weight_ih_l0`)[1];
    this.inputWeights = weights.f32(`${name}.weight_ih_l0`);
    this.stateWeights = weights.f32(`${name}.weight_hh_l0`);
    this.bias = weights.f32(`${name}.bias_ih_l0`);
    this.stateBias = weights.f32(`${name}.bias_hh_l0`);
    if (cell !== "gru") {
      this.heap.kernel.addTo(this.bias, this.stateBias, this.width);
      this.stateBias = 0;
    }
  }

  project(x, rows, y) {
    this.heap.kernel.product(x, this.inputWeights, this.bias, y, rows, this.width, this.inputs);
  }

  projectAll(x, rows) {
    const y = this.heap.alloc(4 * rows * this.width);
    this.project(x, rows, y);
    return y;
  }

  /**
   * Run over sources of `lengths`, the longest first, whose gates begin at rows `starts`; write each output to its row,
   * `size` numbers apart, from `offset` on, and the last states to the places that `final` returns.
   */
  run(gates, lengths, starts, backward, outputs, size, offset, final, states) {
    const { heap, units, width } = this;
    const { kernel } = heap;
    const batch = lengths.length;
    const h = heap.zeros(batch * units);
    const c = heap.zeros(batch * units);
    const sums = heap.alloc(4 * batch * width);
    for (let step = 0, active = batch; active > 0; step++) {
      kernel.product(h, this.stateWeights, this.stateBias, sums, active, width, units);
      const rows = lengths.slice(0, active).map((length, b) => starts[b] + (backward ? length - 1 - step : step));
      if (this.cell === "gru") {
        rows.forEach((row, b) => kernel.gru(gates + 4 * row * width, sums + 4 * b * width, h + 4 * b * units, 1, units));
      } else {
        rows.forEach((row, b) => kernel.addTo(sums + 4 * b * width, gates + 4 * row * width, width));
        if (this.cell === "lstm") {
          kernel.lstm(sums, h, c, active, units);
        } else {
          heap.copy(sums, h, active * units);
          kernel.squash(h, active * units);
        }
      }
      rows.forEach((row, b) => heap.copy(h + 4 * b * units, outputs + 4 * (row * size + offset), units));
      while (active > 0 && lengths[active - 1] === step + 1) active--;
    }
    for (let b = 0; b < batch; b++) {
      [h, c].slice(0, states).forEach((place, state) => heap.copy(place + 4 * b * units, final(b, state), units));
    }
  }
}

/** Layer normalization, in place. */
export class Norm {
  constructor(weights, name, size) {
    this.heap = weights.heap;
    this.size = size;
    this.weight = weights.f32(`${name}.weight`);
    this.bias = weights.f32(`${name}.bias`);
  }

  apply(x, rows) {
    const { heap, size } = this;
    const [weight, bias] = [heap.floats(this.weight, size), heap.floats(this.bias, size)];
    for (let r = 0; r < rows; r++) {
      const row = heap.floats(x + 4 * r * size, size);
      const mean = row.reduce((sum, each) => sum + each, 0) / size;
      const variance = row.reduce((sum, each) => sum + (each - mean) ** 2, 0) / size;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      for (let i = 0; i < size; i++) row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
    }
  }
}

function prefixSums(lengths) {
  let sum = 0;
  return lengths.map((length) => (sum += length) - length);
}
