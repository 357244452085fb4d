/** The speech encoder: convolutions that downsample time, then recurrent layers. */

import { Convolution, relu } from "./cnn.js";
import { RecurrentStack } from "./rnn.js";

/** Encodes frames of mel channels in fewer steps. */
export class SpeechEncoder {
  /**
   * @param {import("../kernel/weights.js").Weights} weights
   * @param {object} config
   */
  constructor(weights, config) {
    this.heap = weights.heap;
    this.stack = new RecurrentStack(weights, config);
    this.layers = this.stack.layers.length;
    this.states = this.stack.states;
    this.bounded = true;
    this.convolutions = Array.from({ length: config.encoder_convolutions }, (_, number) =>
      new Convolution(weights, `encoder.subsampling.convolutions.${number}`, { stride: 2, padding: 1 }),
    );
    this.stride = 2 ** config.encoder_convolutions;
  }

  /**
   * @param {import("./rnn.js").Source[]} sources the longest first
   * @returns {import("./rnn.js").Memory[]} in the heap
   */
  encode(sources) {
    const { heap } = this;
    const rows = sources.map((source) => this.#subsample(source));
    const width = rows[0].length / Math.ceil(sources[0].length / this.stride);
    const lengths = rows.map(({ length }) => length / width);
    const total = lengths.reduce((sum, each) => sum + each, 0);
    const inputs = heap.alloc(4 * total * width);
    let at = inputs / 4;
    for (const each of rows) {
      heap.f32.set(each, at);
      at += each.length;
    }
    return this.stack.run(lengths, () => inputs);
  }

  /** @returns {Float32Array} steps x (channels x mel channels) of a source */
  #subsample({ length, values }) {
    const { heap } = this;
    const mark = heap.mark();
    let maps = { place: heap.store(values), rows: length, columns: values.length / length, channels: 1 };
    for (const convolution of this.convolutions) {
      maps = convolution.apply(maps);
      relu(heap, maps.place, maps.rows * maps.columns * maps.channels);
    }
    const { place, rows, columns, channels } = maps;
    const found = heap.floats(place, rows * columns * channels);
    const ordered = new Float32Array(found.length); // channels come before frequencies, as in Python
    found.forEach((value, i) => {
      const [channel, column] = [i % channels, Math.floor(i / channels) % columns];
      ordered[Math.floor(i / (channels * columns)) * channels * columns + channel * columns + column] = value;
    });
    heap.release(mark);
    return ordered;
  }
}
