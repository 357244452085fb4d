/** A trained model: texts in, outputs out. */

import { Codec } from "./text/codec.js";
import { Decoder } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { Generator } from "./generator.js";
import { Heap } from "./kernel/heap.js";
import { Beam, EOS, PAD, search, UNK } from "./search.js";
import { Weights } from "./kernel/weights.js";

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
 * @property {string[]} source_tokens
 * @property {number[][] | null} attention tokens x source tokens
 * @property {{token: string, probability: number}[][]} alternatives of each token; if wanted
 */

/** Encoder, decoder, generator, search and text side of an exported model. */
export class Model {
  /**
   * @param {Uint8Array} content a header in JSON and the tensors, as web.py writes them
   * @param {Uint8Array | null} kernel kernel.wasm; null: compute in JavaScript
   */
  constructor(content, kernel) {
    const length = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
    const text = new TextDecoder().decode(content.subarray(HEADER_BYTES, HEADER_BYTES + length));
    const { about, config, search: options, tensors, dictionaries, codec, limits, chat } = JSON.parse(text);
    this.about = about;
    this.chat = chat;
    this.options = options;
    this.limits = limits;
    this.heap = new Heap(kernel);
    const start = Math.ceil((HEADER_BYTES + length) / 16) * 16;
    const weights = new Weights(this.heap, tensors, content.subarray(start));
    this.encoder = new Encoder(weights, config);
    this.decoder = new Decoder(weights, config);
    this.generator = new Generator(weights, config);
    this.source = dictionaries.source;
    this.target = dictionaries.target;
    this.sourceIds = ids(this.source);
    this.targetIds = ids(this.target);
    this.points = config.pointer;
    this.attends = config.attention !== "none";
    this.codec = new Codec(codec);
  }

  /** @returns {number[]} ids of a text, at most as many as the model reads, with </s> */
  encode(text) {
    const pieces = this.codec.encode(text);
    return [...pieces.slice(0, this.limits.source - 1).map((piece) => this.sourceIds.get(piece) ?? UNK), EOS];
  }

  /**
   * Return the outputs of each text, best first; an empty one for a text without tokens.
   *
   * @param {string[]} texts
   * @param {object} [settings]
   * @param {Partial<import("./search.js").Options>} [settings.options] of the search
   * @param {number} [settings.nbest]
   * @param {number[]} [settings.prefix] ids that every output begins with
   * @param {boolean} [settings.explain] with alternatives
   * @param {(beams: Beam[]) => void} [settings.onSearched] sees the searches of each batch
   * @returns {Output[][]}
   */
  outputs(texts, { options = {}, nbest = 1, prefix = [], explain = false, onSearched } = {}) {
    const settings = { ...this.options, ...options };
    const limits = { maxPositions: this.limits.target, prefix, explain };
    const sources = texts.map((text) => this.encode(text));
    const outputs = texts.map(() => [EMPTY]);
    const order = [...sources.keys()].filter((i) => sources[i].length > 1);
    order.sort((a, b) => sources[b].length - sources[a].length);
    const size = Math.max(1, Math.floor(BATCH_ROWS / settings.beam));
    for (let start = 0; start < order.length; start += size) {
      const batch = order.slice(start, start + size);
      const mark = this.heap.mark();
      const memories = this.encoder.encode(batch.map((i) => sources[i]));
      this.decoder.attention.precomputeKeys(memories);
      const beams = memories.map((memory, b) => {
        const source = sources[batch[b]];
        if (this.points) memory.copyIds = source.map((id) => this.targetIds.get(this.source[id]) ?? UNK);
        return new Beam(memory, source.length, settings, limits);
      });
      search(this, beams);
      beams.forEach((beam, b) => {
        const i = batch[b];
        const finished = beam.results().slice(0, nbest);
        outputs[i] = finished.map((each) => this.#output(each, texts[i], sources[i]));
      });
      onSearched?.(beams);
      this.heap.release(mark);
    }
    return outputs;
  }

  /** @returns {Output} */
  #output({ tokens, logprobs, score, attention, alternatives }, text, source) {
    const names = tokens.map((id) => this.target[id]);
    return {
      text: this.codec.fill(this.codec.decode(names.slice(0, -1)), text),
      score,
      confidence: Math.exp(logprobs.reduce((sum, each) => sum + each, 0) / logprobs.length),
      tokens: names,
      probabilities: logprobs.map(Math.exp),
      source_tokens: source.map((id) => this.source[id]),
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

/** @returns {Map<string, number>} the first id of each symbol */
function ids(symbols) {
  const places = new Map();
  symbols.forEach((symbol, id) => {
    if (!places.has(symbol)) places.set(symbol, id);
  });
  return places;
}
