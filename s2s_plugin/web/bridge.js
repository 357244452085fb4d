/** The decoder's initial state from the encoder's final states. */

import { Linear } from "./kernel/weights.js";

/** Bridge of a kind: zero, dense or copy. */
export class Bridge {
  constructor(weights, config, encoder, states) {
    this.heap = weights.heap;
    this.kind = config.bridge;
    this.layers = config.decoder_layers;
    this.states = states;
    this.units = config.decoder_hidden_size;
    this.size = config.encoder_hidden_size;
    this.encoderLayers = encoder.layers;
    this.encoderStates = encoder.states;
    const name = "decoder.rnn.bridge.project";
    if (this.kind === "dense") this.project = [new Linear(weights, name)];
    if (this.kind === "copy") {
      this.project = Array.from({ length: Math.min(states, this.encoderStates) }, (_, state) =>
        weights.has(`${name}.${state}.weight`) ? new Linear(weights, `${name}.${state}`) : null,
      );
    }
  }

  /** Fill the places `states[layer][state]`, a row for each memory. */
  apply(memories, states) {
    const { heap, units, size } = this;
    const mark = heap.mark();
    memories.forEach(({ final }, row) => {
      const top = final + 4 * size * (this.encoderLayers - 1) * this.encoderStates;
      if (this.kind === "dense") {
        const count = this.layers * this.states * units;
        const values = heap.alloc(4 * count);
        this.project[0].apply(top, 1, values);
        heap.kernel.squash(values, count);
        states.flat().forEach((to, i) => heap.copy(values + 4 * i * units, to + 4 * row * units, units));
      } else if (this.kind === "copy") {
        states.forEach((layer, number) => {
          const source = final + 4 * size * Math.min(number, this.encoderLayers - 1) * this.encoderStates;
          this.project.forEach((project, state) => {
            const [from, to] = [source + 4 * size * state, layer[state] + 4 * row * units];
            if (project) project.apply(from, 1, to);
            else heap.copy(from, to, units);
          });
        });
      }
      heap.release(mark);
    });
  }
}
