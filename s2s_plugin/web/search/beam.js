/**
 * Beam search, by the rules of s2s_plugin/search/beam.py: 2K candidates a step, </s> finishes a hypothesis among the best
 * K, the greedy hypothesis keeps its place, and a sentence is done when none that goes on leads.
 */

import { EOS } from "../dictionary.js";
import { randomNumbers } from "./random.js";
import { LogitsConstraints } from "./rules.js";
import { topTokens } from "./topk.js";

const FORCED_EOS_LOGPROB = -1e4;
const NUM_ALTERNATIVES = 9; // one may be padding

/**
 * @typedef {object} Options of the search, by their names in Python
 *
 * @typedef {object} Finished
 * @property {number[]} tokens with </s>
 * @property {number[]} logprobs of the tokens
 * @property {number} score normalized by length
 * @property {Float32Array[]} attention of each token
 * @property {{id: number, logprob: number}[][]} alternatives of each token, the likeliest first; if wanted
 */

/** The search for one sentence. */
export class Beam {
  /**
   * @param {import("../encoders/rnn.js").Memory} memory
   * @param {number} length of the source, in source steps
   * @param {Options} options
   * @param {{maxPositions: number, prefix?: number[], explain?: boolean}} limits prefix: ids every hypothesis begins with;
   *   explain: keep alternatives
   * @param {import("./ctc.js").CTCPrefixes | null} [ctc]
   */
  constructor(memory, length, options, { maxPositions, prefix = [], explain = false }, ctc = null) {
    this.memory = memory;
    this.options = options;
    this.explain = explain;
    const longest = Math.trunc(options.max_len_a * length + options.max_len_b);
    this.maxLen = Math.min(Math.max(longest, 1), maxPositions);
    const minLen = Math.trunc(options.min_len_a * length + options.min_len);
    const constraints = new LogitsConstraints(options, { maxLen: this.maxLen, minLen, prefix });
    this.ctc = ctc;
    this.collaborators = ctc ? [constraints, ctc] : [constraints];
    this.wanted = Math.max(1, Math.round((options.search_patience ?? 1) * options.beam));
    this.stopAtCount = options.search_patience !== null || options.beam === 1;
    this.draw = options.sampling ? randomNumbers(options.seed) : null;
    const width = options.sampling ? options.beam : 1; // hypotheses are all alike before the first step
    /** @type {{tokens: number[]}[]} */
    this.hypotheses = Array.from({ length: width }, () => ({ tokens: [] }));
    this.totals = this.hypotheses.map(() => 0);
    this.steps = [];
    this.count = 0;
    this.best = -Infinity;
    this.greedy = true;
    this.done = false;
  }

  /** @returns {number[]} the last token of each hypothesis */
  get last() {
    return this.hypotheses.map(({ tokens }) => tokens[tokens.length - 1] ?? EOS);
  }

  /**
   * Take the best continuations.
   *
   * @param {import("./topk.js").Scores} scores which are changed
   * @param {Float32Array} attention K x S
   * @returns {number[]} the rows that the hypotheses continue; none when the sentence is done
   */
  advance(scores, attention) {
    const { beam } = this.options;
    const step = this.steps.length;
    const { heap, logits, width, normalizers } = scores;
    const alternatives = this.explain ? this.#alternatives(scores) : null;
    const ends = normalizers.map((normalizer, r) => heap.f32[logits / 4 + r * width + EOS] - normalizer);
    for (const each of this.collaborators) each.process(scores, this.hypotheses);
    const candidates = this.draw ? this.#sample(scores, ends) : this.#choose(scores, ends);
    const record = { attention, alternatives, parents: [], tokens: [], totals: [], ends: [] };
    this.steps.push(record);
    candidates.slice(0, beam).forEach(({ parent, token, total }) => {
      const isOpen = !this.stopAtCount || this.count < this.wanted;
      if (token !== EOS || total === -Infinity || !isOpen) return;
      this.count++;
      record.ends.push({ parent, total });
    });
    const isOut = ({ token, total }) => token === EOS || total === -Infinity;
    this.greedy = this.greedy && !isOut(candidates[0]);
    const next = [...candidates.filter((each) => !isOut(each)), ...candidates.filter(isOut)].slice(0, beam);
    record.parents = next.map(({ parent }) => parent);
    record.tokens = next.map(({ token }) => token);
    record.totals = next.map((each) => (isOut(each) ? -Infinity : each.total));
    const before = this.hypotheses;
    this.ctc?.advance(record.parents, record.tokens, before);
    this.hypotheses = next.map(({ parent, token }) => ({ tokens: [...before[parent].tokens, token] }));
    this.totals = record.totals;
    this.#updateDone(record.ends);
    const isActive = !this.done && this.maxLen > step && Math.max(...this.totals) > -Infinity;
    return isActive ? record.parents : [];
  }

  /** @returns {Finished[]} the best hypotheses, best first */
  results() {
    const finished = [];
    this.steps.forEach(({ ends }, step) => ends.forEach((end) => finished.push(this.#traceBack(step, end))));
    return finished.sort((a, b) => b.score - a.score).slice(0, this.options.beam);
  }

  /** @returns {Finished} */
  #traceBack(last, { parent, total }) {
    const { options, memory } = this;
    const length = last + 1;
    const [tokens, sums, attention, alternatives] = [[EOS], [total], [], []];
    let row = parent;
    for (let step = last; step >= 0; step--) {
      const record = this.steps[step];
      attention.unshift(record.attention.subarray(row * memory.steps, (row + 1) * memory.steps));
      alternatives.unshift(record.alternatives?.[row] ?? []);
      if (step === 0) break;
      const before = this.steps[step - 1];
      tokens.unshift(before.tokens[row]);
      sums.unshift(before.totals[row]);
      row = before.parents[row];
    }
    let score = this.score(total, length);
    if (options.coverage_penalty) {
      for (let s = 0; s < memory.steps; s++) {
        const seen = attention.reduce((sum, weights) => sum + weights[s], 0);
        score += options.coverage_penalty * Math.log(Math.min(Math.max(seen, 1e-30), 1));
      }
    }
    const logprobs = sums.map((sum, i) => sum - (sums[i - 1] ?? 0));
    return { tokens, logprobs, score, attention, alternatives };
  }

  /** @returns {number} the score of a hypothesis of `length` tokens */
  score(total, length) {
    if (this.options.unnormalized) return total;
    return total / (this.options.wu_length_penalty ? (5 + length) / 6 : length) ** this.options.lenpen;
  }

  #updateDone(ends) {
    const step = this.steps.length;
    let done = this.count >= this.wanted;
    if (!this.stopAtCount) {
      for (const { total } of ends) this.best = Math.max(this.best, this.score(total, step));
      done = done && !this.greedy && this.score(Math.max(...this.totals), step) <= this.best;
    }
    this.done = this.done || done;
  }

  /** @returns {{parent: number, token: number, total: number}[]} candidates, best first, or first the greedy one */
  #choose(scores, ends) {
    const { heap, logits, width, normalizers } = scores;
    const { beam } = this.options;
    const { totals } = this;
    const first = this.stopAtCount ? [] : topTokens(scores, [totals[0] - normalizers[0]], 1);
    for (const { place } of first) if (place >= 0) heap.f32[logits / 4 + place] = -Infinity;
    const bases = totals.map((total, r) => total - normalizers[r]);
    const found = [...first, ...topTokens(scores, bases, 2 * beam)];
    if (found.every(({ total }) => total === -Infinity) && this.count === 0) {
      const forced = totals.map((total, parent) => {
        return { parent, token: EOS, total: total + Math.max(ends[parent], FORCED_EOS_LOGPROB) };
      });
      return forced.sort((a, b) => b.total - a.total);
    }
    return found.map(({ place, total }) =>
      place < 0 ? { parent: 0, token: 0, total } : { parent: Math.floor(place / width), token: place % width, total },
    );
  }

  /** @returns {{parent: number, token: number, total: number}[]} a token for each hypothesis, drawn at random */
  #sample({ heap, logits, width, normalizers }, ends) {
    return this.totals.map((total, parent) => {
      const row = heap.floats(logits + 4 * parent * width, width);
      const probs = Float64Array.from(row, (logit) => Math.exp(logit - normalizers[parent]));
      let point = this.draw() * probs.reduce((sum, each) => sum + each, 0);
      const token = probs.findIndex((each) => (point -= each) < 0);
      if (token < 0) return { parent, token: EOS, total: total + Math.max(ends[parent], FORCED_EOS_LOGPROB) };
      return { parent, token, total: total + row[token] - normalizers[parent] };
    });
  }

  /** @returns {{id: number, logprob: number}[][]} the likeliest tokens after each hypothesis, without constraints */
  #alternatives(scores) {
    const { heap, normalizers, width } = scores;
    const joint = this.ctc ? { ...scores, logits: heap.alloc(4 * normalizers.length * width) } : scores;
    if (this.ctc) {
      heap.copy(scores.logits, joint.logits, normalizers.length * width);
      this.ctc.process(joint, this.hypotheses);
    }
    return Array.from(normalizers, (normalizer, r) =>
      topTokens(joint, [-normalizer], NUM_ALTERNATIVES, r)
        .map(({ place, total }) => ({ id: place, logprob: total })),
    );
  }
}
