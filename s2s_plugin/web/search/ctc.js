/** CTC prefix scores in the search, see s2s_plugin/search/ctc.py. */

import { BLANK, EOS } from "../dictionary.js";
import { topTokens } from "./topk.js";

/**
 * @typedef {object} Prefix a hypothesis: log-probabilities that the first t of S memory steps emit it
 * @property {Float64Array} inToken S + 1, and end in its last token
 * @property {Float64Array} inBlank S + 1, and end in a blank
 * @property {number} total log-probability of all that begins with it
 */

/** The CTC states of a sentence's hypotheses. The joint score is (1 - w) log P(Y|X) + w log P_CTC(Y|X). */
export class CTCPrefixes {
  /**
   * @param {Float32Array} emissions log-probabilities S x V of the CTC layer
   * @param {number} steps S
   * @param {import("./beam.js").Options} options
   */
  constructor(emissions, steps, options) {
    this.steps = steps;
    this.vocabulary = emissions.length / steps;
    this.emissions = emissions;
    this.weight = options.ctc_search_weight;
    this.candidates = 2 * options.beam;
    const inToken = new Float64Array(steps + 1).fill(-Infinity);
    const inBlank = new Float64Array(steps + 1);
    for (let t = 0; t < steps; t++) inBlank[t + 1] = inBlank[t] + this.#emission(t, BLANK);
    /** @type {Prefix[]} */
    this.prefixes = [{ inToken, inBlank, total: 0 }];
  }

  /** Join the scores of the likeliest tokens, and </s>, with those of CTC; forbid all others. */
  process(scores, hypotheses) {
    const { heap, logits, width, normalizers } = scores;
    this.totals = hypotheses.map(({ tokens }, r) => {
      const found = topTokens(scores, [-normalizers[r]], this.candidates, r).filter(({ place }) => place >= 0);
      const row = heap.floats(logits + 4 * r * width, width);
      const ids = new Set([...found.map(({ place }) => place), EOS]);
      const before = new Map([...ids].map((id) => [id, row[id] - normalizers[r]]));
      const prefix = this.prefixes[r];
      const totals = this.#extend(prefix, tokens[tokens.length - 1] ?? EOS, [...ids]);
      row.fill(-Infinity);
      for (const [id, total] of totals) {
        const joint = (1 - this.weight) * before.get(id) + this.weight * (total - prefix.total);
        row[id] = Number.isFinite(joint) ? joint + normalizers[r] : -Infinity;
      }
      return totals;
    });
  }

  /** Follow hypotheses `parents` that continue with `tokens`. */
  advance(parents, tokens, hypotheses) {
    this.prefixes = parents.map((parent, i) => {
      const last = hypotheses[parent].tokens.at(-1) ?? EOS;
      return this.#continue(this.prefixes[parent], last, tokens[i], this.totals[parent].get(tokens[i]) ?? -Infinity);
    });
  }

  /** @returns {Map<number, number>} the log-probability of a prefix that is continued by each of these tokens */
  #extend({ inToken, inBlank }, last, ids) {
    const { steps } = this;
    const begin = Float64Array.from({ length: steps }, (_, t) => logAddExp(inToken[t], inBlank[t]));
    return new Map(ids.map((id) => {
      if (id === BLANK) return [id, -Infinity];
      if (id === EOS) return [id, logAddExp(inToken[steps], inBlank[steps])];
      const start = id === last ? inBlank : begin; // equal tokens need a blank between them
      let peak = -Infinity;
      for (let t = 0; t < steps; t++) peak = Math.max(peak, start[t] + this.#emission(t, id));
      let sum = 0;
      for (let t = 0; t < steps; t++) sum += Math.exp(start[t] + this.#emission(t, id) - peak);
      return [id, peak === -Infinity ? peak : peak + Math.log(sum)];
    }));
  }

  /** @returns {Prefix} */
  #continue({ inToken, inBlank }, last, token, total) {
    const { steps } = this;
    const emitted = new Float64Array(steps + 1).fill(-Infinity);
    const rested = new Float64Array(steps + 1).fill(-Infinity);
    for (let t = 0; t < steps; t++) {
      const begin = token === last ? inBlank[t] : logAddExp(inToken[t], inBlank[t]);
      emitted[t + 1] = logAddExp(emitted[t], begin) + this.#emission(t, token);
      rested[t + 1] = logAddExp(rested[t], emitted[t]) + this.#emission(t, BLANK);
    }
    return { inToken: emitted, inBlank: rested, total };
  }

  #emission(step, token) {
    return this.emissions[step * this.vocabulary + token];
  }
}

/** @returns {number} log(e^a + e^b) */
function logAddExp(a, b) {
  const high = Math.max(a, b);
  return high === -Infinity ? high : high + Math.log1p(Math.exp(Math.min(a, b) - high));
}
