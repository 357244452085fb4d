/** A trained model: texts, recordings or pictures in, outputs out. */

import { Decoder } from "./decoder.js";
import { EOS, idsOf, PAD, UNK } from "./dictionary.js";
import { ImageEncoder } from "./encoders/image.js";
import { SpeechEncoder } from "./encoders/speech.js";
import { TextEncoder } from "./encoders/text.js";
import { AudioFrontend } from "./frontends/audio.js";
import { ImageFrontend } from "./frontends/image.js";
import { Generator } from "./generator.js";
import { Heap } from "./kernel/heap.js";
import { Linear, Weights } from "./kernel/weights.js";
import { Beam } from "./search/beam.js";
import { CTCPrefixes } from "./search/ctc.js";
import { search } from "./search/search.js";
import { Codec } from "./text/codec.js";

const ENCODERS = { text: TextEncoder, audio: SpeechEncoder, image: ImageEncoder };
const FRONTENDS = { audio: AudioFrontend, image: ImageFrontend };

const HEADER_BYTES = 4; // of its length, at the beginning
const BATCH_ROWS = 80; // hypotheses of a batch
const NUM_ALTERNATIVES = 8;

/**
 * @typedef {object} Output as s2s_plugin.package.model.Output has it
 * @property {string} text
 * @property {number} score length-normalized log-probability
 * @property {number} confidence geometric mean of the token probabilities
 * @property {string[]} tokens
 * @property {number[]} probabilities of the tokens
 * @property {string[]} source_tokens of a text
 * @property {number[][] | null} attention tokens x source steps
 * @property {{token: string, probability: number}[][]} alternatives of each token; if wanted
 */

/** @typedef {string | import("./media.js").Media} Input of a model: a text, or a recording or picture as the browser reads it */

/** Frontend or text side, encoder, decoder, generator and search of an exported model. */
export class Model {
  /**
   * @param {Uint8Array} content a header in JSON and the tensors, as web_model.py writes them
   * @param {Uint8Array | null} kernel kernel.wasm; null: compute in JavaScript
   */
  constructor(content, kernel) {
    const length = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
    const text = new TextDecoder().decode(content.subarray(HEADER_BYTES, HEADER_BYTES + length));
    const { about, config, search: options, tensors, dictionaries, codec, frontend, limits, chat } = JSON.parse(text);
    this.about = about;
    this.chat = chat;
    this.options = options;
    this.limits = limits;
    this.heap = new Heap(kernel);
    const start = Math.ceil((HEADER_BYTES + length) / 16) * 16;
    const weights = new Weights(this.heap, tensors, content.subarray(start));
    this.encoder = new ENCODERS[about.modality](weights, config);
    this.decoder = new Decoder(weights, config, this.encoder);
    this.generator = new Generator(weights, config, this.encoder);
    this.ctc = config.ctc ? new Linear(weights, "ctc", { int8: false }) : null;
    this.source = dictionaries.source;
    this.target = dictionaries.target;
    this.sourceIds = idsOf(this.source);
    this.targetIds = idsOf(this.target);
    this.points = config.pointer;
    this.attends = config.attention !== "none";
    this.codec = new Codec(codec);
    this.frontend = frontend ? new FRONTENDS[about.modality](frontend) : null;
  }

  /**
   * Return an input as the encoder reads it; of a text, at most as many tokens as that does.
   *
   * @param {Input} input
   * @returns {import("./encoders/rnn.js").Source}
   */
  read(input) {
    if (this.frontend === null) {
      const pieces = this.codec.encode(input).slice(0, this.limits.source - 1);
      const ids = [...pieces.map((piece) => this.sourceIds.get(piece) ?? UNK), EOS];
      return { length: ids.length, ids, text: input };
    }
    try {
      const source = this.frontend.read(input);
      const { source: limit } = this.limits;
      if (source.length > limit) throw new Error(`must have at most ${limit} source steps, got ${source.length}`);
      return source;
    } catch (error) {
      throw new Error(`${input.name}: ${error.message}`);
    }
  }

  /** Return the outputs of each input, see `decode`. */
  outputs(inputs, settings = {}) {
    return this.decode(inputs.map((input) => this.read(input)), settings);
  }

  /**
   * Return the outputs of each source, best first; an empty one for a text without tokens.
   *
   * @param {import("./encoders/rnn.js").Source[]} sources
   * @param {object} [settings]
   * @param {Partial<import("./search/beam.js").Options>} [settings.options] of the search
   * @param {number} [settings.nbest]
   * @param {number[]} [settings.prefix] ids that every output begins with
   * @param {boolean} [settings.explain] with alternatives
   * @param {(beams: Beam[]) => void} [settings.onSearched] sees the searches of each batch
   * @returns {Output[][]}
   */
  decode(sources, { options = {}, nbest = 1, prefix = [], explain = false, onSearched } = {}) {
    const settings = { ...this.options, ...options };
    if (this.ctc && settings.ctc_search_weight && settings.sampling) {
      throw new Error("sampling and ctc_search_weight are mutually exclusive");
    }
    const limits = { maxPositions: this.limits.target, prefix, explain };
    const outputs = sources.map(() => [EMPTY]);
    const order = [...sources.keys()].filter((i) => !sources[i].ids || sources[i].length > 1);
    order.sort((a, b) => sources[b].length - sources[a].length);
    const size = Math.max(1, Math.floor(BATCH_ROWS / settings.beam));
    for (let start = 0; start < order.length; start += size) {
      const batch = order.slice(start, start + size);
      const mark = this.heap.mark();
      const memories = this.encoder.encode(batch.map((i) => sources[i]));
      this.decoder.attention.precomputeKeys(memories);
      const beams = memories.map((memory, b) => {
        const source = sources[batch[b]];
        if (this.points) {
          const read = source.ids.slice(0, memory.steps); // without </s>, if the encoder does not read it
          memory.copyIds = read.map((id) => this.targetIds.get(this.source[id]) ?? UNK);
        }
        return new Beam(memory, source.length, settings, limits, this.#ctcPrefixes(memory, settings));
      });
      search(this, beams);
      beams.forEach((beam, b) => {
        const i = batch[b];
        const finished = beam.results().slice(0, nbest);
        outputs[i] = finished.map((each) => this.#output(each, sources[i]));
      });
      onSearched?.(beams);
      this.heap.release(mark);
    }
    return outputs;
  }

  /** @returns {CTCPrefixes | null} */
  #ctcPrefixes({ values, steps }, options) {
    const { heap, ctc } = this;
    if (!ctc || !options.ctc_search_weight) return null;
    const mark = heap.mark();
    const place = heap.alloc(4 * steps * ctc.width);
    ctc.apply(values, steps, place);
    const emissions = new Float32Array(steps * ctc.outputs);
    for (let s = 0; s < steps; s++) {
      const logits = heap.floats(place + 4 * s * ctc.width, ctc.outputs);
      const peak = logits.reduce((most, each) => Math.max(most, each), -Infinity);
      const normalizer = peak + Math.log(logits.reduce((sum, each) => sum + Math.exp(each - peak), 0));
      logits.forEach((logit, i) => (emissions[s * ctc.outputs + i] = logit - normalizer));
    }
    heap.release(mark);
    return new CTCPrefixes(emissions, steps, options);
  }

  /** @returns {Output} */
  #output({ tokens, logprobs, score, attention, alternatives }, { ids = [], text = "" }) {
    const names = tokens.map((id) => this.target[id]);
    return {
      text: this.codec.fill(this.codec.decode(names.slice(0, -1)), text),
      score,
      confidence: Math.exp(logprobs.reduce((sum, each) => sum + each, 0) / logprobs.length),
      tokens: names,
      probabilities: logprobs.map(Math.exp),
      source_tokens: ids.map((id) => this.source[id]),
      attention: this.attends ? attention.map((weights) => Array.from(weights)) : null,
      alternatives: alternatives.map((each) =>
        each.filter(({ id }) => id >= 0 && id !== PAD).slice(0, NUM_ALTERNATIVES)
          .map(({ id, logprob }) => ({ token: this.target[id], probability: Math.exp(logprob) })),
      ),
    };
  }
}

/** @type {Output} */
const EMPTY = {
  text: "", score: 0, confidence: 0, tokens: [], probabilities: [], source_tokens: [], attention: null, alternatives: [],
};
