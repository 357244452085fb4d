/** The decoder: one token a step for the hypotheses of several sentences. Types: luong, bahdanau and gnmt. */

import { Attention } from "./attention.js";
import { Bridge } from "./bridge.js";
import { TokenGates } from "./embedding.js";
import { Norm } from "./encoders/rnn.js";
import { Linear } from "./kernel/weights.js";

const STATES = { lstm: 2, gru: 1, rnn: 1 };
const GATES = { lstm: 4, gru: 3, rnn: 1 };

/**
 * @typedef {object} Group the hypotheses of a sentence, whose rows are adjacent
 * @property {import("./encoders/rnn.js").Memory} memory
 * @property {number} rows K
 * @property {number} weights place of K x S, for the attention of the step
 * @property {number} history place of K x S, what attention keeps of earlier steps; 0 without
 */

/** A stack of recurrent layers with attention. */
export class Decoder {
  /**
   * @param {import("./kernel/weights.js").Weights} weights
   * @param {object} config
   * @param {object} encoder whose memories it reads
   */
  constructor(weights, config, encoder) {
    const { decoder_hidden_size: units, decoder_layers: layers } = config;
    this.heap = weights.heap;
    this.type = config.decoder_type;
    this.units = units;
    this.embed = config.decoder_embed_dim;
    this.residual = config.residual;
    this.attention = new Attention(weights, config);
    const isBounded = this.type === "luong" && boundedStates(config, encoder);
    const options = { bounded: isBounded };
    this.cells = Array.from(
      { length: layers },
      (_, layer) => new Cell(weights, `decoder.rnn.cells.${layer}`, config.decoder_cell, units, options),
    );
    this.norms = this.cells.map((_, layer) =>
      config.layer_norm ? new Norm(weights, `decoder.rnn.norms.${layer}`, units) : null,
    );
    const context = this.attention.contextSize;
    this.combine = context ? new Linear(weights, "decoder.rnn.combine") : null;
    this.squashes = config.decoder_readout !== "linear";
    const first = new Linear(weights, "decoder.rnn.cells.0.input_proj", { exact: true });
    const table = "decoder.embedding.table.weight";
    this.tokens = new TokenGates(weights, table, (x, y) => first.apply(x, 1, y), first.width);
    this.bridge = new Bridge(weights, config, encoder, STATES[config.decoder_cell]);
  }

  /** @returns {State} for the first step of memories, a row each, and of later steps with up to `capacity` rows */
  initialState(memories, capacity) {
    const zeros = () => this.heap.zeros(capacity * this.units);
    const states = this.cells.map((cell) => Array.from({ length: cell.states }, zeros));
    this.bridge.apply(memories, states);
    return new State(this.heap, this.units, states, this.type === "luong" ? zeros() : 0, capacity);
  }

  /**
   * Decode one token for each row.
   *
   * @param {number[]} tokens the previous ones
   * @param {State} state
   * @param {Group[]} groups whose rows are those of the state
   * @returns {number} the place of the features, rows x H
   */
  step(tokens, state, groups) {
    const { heap, units, cells } = this;
    const rows = tokens.length;
    const gates = heap.alloc(4 * rows * this.tokens.width);
    tokens.forEach((token, row) => {
      const known = this.tokens.get(token); // may move the heap
      heap.f32.set(known, gates / 4 + row * this.tokens.width);
    });
    const context = this.attention.contextSize;
    const width = context + units + (this.type === "bahdanau" ? this.embed : 0);
    const joined = heap.zeros(rows * width); // [context; hidden; embedding]
    let hidden;
    if (this.type === "bahdanau") {
      this.#attend(state.layers[cells.length - 1][0], groups, joined, width);
      tokens.forEach((token, row) => this.tokens.embed(token, joined + 4 * (row * width + context + units)));
      const contexts = heap.alloc(4 * rows * context);
      place(heap, joined, width, contexts, context, rows, context);
      hidden = this.#runLayers(gates, contexts, context, state, rows);
    } else if (this.type === "luong") {
      hidden = this.#runLayers(gates, state.feed, units, state, rows);
      this.#attend(hidden, groups, joined, width);
    } else {
      hidden = this.#runGnmt(gates, groups, joined, width, state, rows);
    }
    let features = hidden;
    if (this.combine) {
      place(heap, hidden, units, joined + 4 * context, width, rows, units);
      features = heap.alloc(4 * rows * units);
      this.combine.apply(joined, rows, features);
      if (this.squashes) heap.kernel.squash(features, rows * units);
    }
    if (state.feed) heap.copy(features, state.feed, rows * units);
    return features;
  }

  #attend(queries, groups, joined, width) {
    let row = 0;
    for (const { memory, rows, weights, history } of groups) {
      const contexts = joined + 4 * row * width;
      if (this.attention.contextSize) {
        this.attention.attend(queries + 4 * row * this.units, rows, memory, weights, contexts, width, history);
      }
      row += rows;
    }
  }

  #runLayers(gates, feedback, feedbackSize, state, rows) {
    let input = feedback;
    let size = feedbackSize;
    this.cells.forEach((cell, layer) => {
      cell.step(layer === 0 ? gates : 0, input, size, state.layers[layer], rows);
      input = this.#output(layer, state.layers[layer][0], input, rows);
      size = this.units;
    });
    return input;
  }

  #runGnmt(gates, groups, joined, width, state, rows) {
    const { heap, units } = this;
    const context = this.attention.contextSize;
    this.cells[0].step(gates, 0, 0, state.layers[0], rows);
    let hidden = this.#output(0, state.layers[0][0], 0, rows);
    this.#attend(hidden, groups, joined, width);
    this.cells.slice(1).forEach((cell, above) => {
      const layer = above + 1;
      const inputs = heap.alloc(4 * rows * (units + context));
      place(heap, hidden, units, inputs, units + context, rows, units);
      place(heap, joined, width, inputs + 4 * units, units + context, rows, context);
      const projected = heap.alloc(4 * rows * cell.input.width);
      cell.input.apply(inputs, rows, projected);
      cell.step(projected, 0, 0, state.layers[layer], rows);
      hidden = this.#output(layer, state.layers[layer][0], hidden, rows);
    });
    return hidden;
  }

  /** @returns {number} the place of a layer's output, with residual connection and normalization */
  #output(layer, hidden, input, rows) {
    const { heap, units } = this;
    const norm = this.norms[layer];
    const adds = this.residual && layer > 0;
    if (!adds && !norm) return hidden;
    const output = heap.alloc(4 * rows * units);
    heap.copy(hidden, output, rows * units);
    if (adds) heap.kernel.addTo(output, input, rows * units);
    if (norm) norm.apply(output, rows);
    return output;
  }
}

/** What a step needs of the one before, for at most `capacity` rows; reordering fills other memory. */
export class State {
  constructor(heap, units, layers, feed, capacity) {
    this.heap = heap;
    this.units = units;
    this.layers = layers;
    this.feed = feed;
    this.spare = this.#places().map(() => heap.alloc(4 * capacity * units));
  }

  /** Continue with the rows at `index`, each any number of times. */
  reorder(index) {
    const { heap, units, spare } = this;
    const places = this.#places();
    places.forEach((from, number) => {
      index.forEach((row, to) => heap.copy(from + 4 * row * units, spare[number] + 4 * to * units, units));
    });
    let at = 0;
    this.layers = this.layers.map((layer) => layer.map(() => spare[at++]));
    if (this.feed) this.feed = spare[at];
    this.spare = places;
  }

  #places() {
    return [...this.layers.flat(), ...(this.feed ? [this.feed] : [])];
  }
}

/** One recurrent layer of the decoder. */
class Cell {
  constructor(weights, name, kind, units, options) {
    this.heap = weights.heap;
    this.kind = kind;
    this.units = units;
    this.states = STATES[kind];
    this.width = GATES[kind] * units;
    this.recurrent = new Linear(weights, `${name}.recurrent_proj`, options);
    this.feedback = weights.has(`${name}.feedback_proj.weight`) ? new Linear(weights, `${name}.feedback_proj`) : null;
    this.bias = weights.has(`${name}.bias`) ? weights.f32(`${name}.bias`) : 0;
    this.input = name.endsWith(".0") || !weights.has(`${name}.input_proj.weight`)
      ? null
      : new Linear(weights, `${name}.input_proj`);
  }

  /** Run one step in place: `gates`, the projected inputs, and `feedback`, rows x `size`; either may be 0, for none. */
  step(gates, feedback, size, states, rows) {
    const { heap, units, width } = this;
    const { kernel } = heap;
    const [h, c] = states;
    const sums = heap.alloc(4 * rows * width);
    if (this.kind === "gru") {
      this.#stepGru(gates, feedback, h, sums, rows);
      return;
    }
    let inputs = h;
    if (feedback) {
      inputs = heap.alloc(4 * rows * (size + units));
      place(heap, feedback, size, inputs, size + units, rows, size);
      place(heap, h, units, inputs + 4 * size, size + units, rows, units);
    }
    this.recurrent.apply(inputs, rows, sums);
    if (gates) kernel.addTo(sums, gates, rows * width);
    if (this.kind === "lstm") {
      kernel.lstm(sums, h, c, rows, units);
    } else {
      heap.copy(sums, h, rows * units);
      kernel.squash(h, rows * units);
    }
  }

  #stepGru(gates, feedback, h, sums, rows) {
    const { heap, units, width } = this;
    const { kernel } = heap;
    const inputs = heap.zeros(rows * width);
    if (feedback && this.feedback) this.feedback.apply(feedback, rows, inputs);
    if (gates) kernel.addTo(inputs, gates, rows * width);
    for (let r = 0; r < rows; r++) kernel.addTo(inputs + 4 * r * width, this.bias, width);
    this.recurrent.apply(h, rows, sums);
    kernel.gru(inputs, sums, h, rows, units);
  }
}

/** Copy rows of `count` numbers between matrices whose rows are `fromWidth` and `toWidth` numbers apart. */
function place(heap, from, fromWidth, to, toWidth, rows, count) {
  for (let r = 0; r < rows; r++) heap.copy(from + 4 * r * fromWidth, to + 4 * r * toWidth, count);
}

/** @returns {boolean} whether outputs of cells and of tanh stay in [-1, 1] all the way, see `_bounded` in Python */
export function boundedStates(config, encoder) {
  const projects = config.encoder_hidden_size !== config.decoder_hidden_size;
  const isBounded = config.bridge !== "copy" || (encoder.bounded && !projects); // at the beginning
  const squashes = config.attention === "none" || config.decoder_readout !== "linear";
  return !config.residual && !config.layer_norm && isBounded && squashes;
}
