/**
 * Beam search, by the rules of s2s_plugin/search/beam.py: 2K candidates a step, </s> finishes a hypothesis among the best
 * K, the greedy hypothesis keeps its place, and a sentence is done when none that goes on leads.
 */

import { randomNumbers } from "./random.js";

/** Ids of fairseq's dictionaries. */
export const PAD = 1;
export const EOS = 2;
export const UNK = 3;

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
   * @param {import("./encoder.js").Memory} memory
   * @param {number} length of the source, with </s>
   * @param {Options} options
   * @param {{maxPositions: number, prefix?: number[], explain?: boolean}} limits prefix: ids every hypothesis begins with;
   *   explain: keep alternatives
   */
  constructor(memory, length, options, { maxPositions, prefix = [], explain = false }) {
    this.memory = memory;
    this.options = options;
    this.prefix = prefix;
    this.explain = explain;
    const longest = Math.trunc(options.max_len_a * length + options.max_len_b);
    this.maxLen = Math.min(Math.max(longest, 1), maxPositions);
    this.minLen = Math.trunc(options.min_len_a * length + options.min_len);
    this.wanted = Math.max(1, Math.round((options.search_patience ?? 1) * options.beam));
    this.stopAtCount = options.search_patience !== null || options.beam === 1;
    this.draw = options.sampling ? randomNumbers(options.seed) : null;
    const width = options.sampling ? options.beam : 1; // hypotheses are all alike before the first step
    /** @type {{tokens: number[]}[]} */
    this.hypotheses = Array.from({ length: width }, () => ({ tokens: [] }));
    this.totals = this.hypotheses.map(() => 0);
    this.steps = [];
    this.finished = [];
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
   * @param {import("./kernel/heap.js").Heap} heap
   * @param {number} logits place of K x width, which is changed
   * @param {number} width
   * @param {Float32Array} normalizers of the K rows
   * @param {Float32Array} attention K x S
   * @returns {number[]} the rows that the hypotheses continue; none when the sentence is done
   */
  advance(heap, logits, width, normalizers, attention) {
    const { beam } = this.options;
    const step = this.steps.length;
    const rows = this.hypotheses.length;
    const alternatives = this.explain ? this.#alternatives(heap, logits, width, normalizers) : null;
    const ends = normalizers.map((normalizer, r) => heap.f32[logits / 4 + r * width + EOS] - normalizer);
    const isForced = this.#constrain(heap, logits, width, normalizers, step);
    const candidates = this.draw
      ? this.#sample(heap, logits, width, normalizers, ends)
      : this.#choose(heap, logits, width, normalizers, ends);
    const record = { attention, alternatives, rows, parents: [], tokens: [], totals: [], ends: [], isForced };
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

  /** Forbid tokens by minus infinity, see `LogitsConstraints` in Python; return whether the prefix decides the token. */
  #constrain(heap, logits, width, normalizers, step) {
    const { options, prefix, hypotheses } = this;
    const isFree = step < this.maxLen;
    const isForced = isFree && step < prefix.length;
    hypotheses.forEach(({ tokens }, r) => {
      const row = heap.floats(logits + 4 * r * width, width);
      row[PAD] = -Infinity;
      row[UNK] -= options.unkpen;
      if (options.repetition_penalty !== 1) {
        for (const token of new Set(tokens)) {
          row[token] = (row[token] - normalizers[r]) * options.repetition_penalty + normalizers[r];
        }
      }
      if (!isFree) only(row, EOS);
      else if (isForced) only(row, prefix[step]);
      else if (step < this.minLen) row[EOS] = -Infinity;
      if (!isForced) blockNgrams(row, tokens, options.no_repeat_ngram_size);
    });
    return isForced;
  }

  /** @returns {{parent: number, token: number, total: number}[]} candidates, best first, or first the greedy one */
  #choose(heap, logits, width, normalizers, ends) {
    const { beam } = this.options;
    const { totals } = this;
    const first = this.stopAtCount ? [] : topTokens(heap, logits, width, [totals[0] - normalizers[0]], 1);
    for (const { place } of first) if (place >= 0) heap.f32[logits / 4 + place] = -Infinity;
    const bases = totals.map((total, r) => total - normalizers[r]);
    const found = [...first, ...topTokens(heap, logits, width, bases, 2 * beam)];
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
  #sample(heap, logits, width, normalizers, ends) {
    return this.totals.map((total, parent) => {
      const row = heap.floats(logits + 4 * parent * width, width);
      const probs = Float64Array.from(row, (logit) => Math.exp(logit - normalizers[parent]));
      let point = this.draw() * probs.reduce((sum, each) => sum + each, 0);
      const token = probs.findIndex((each) => (point -= each) < 0);
      if (token < 0) return { parent, token: EOS, total: total + Math.max(ends[parent], FORCED_EOS_LOGPROB) };
      return { parent, token, total: total + row[token] - normalizers[parent] };
    });
  }

  #alternatives(heap, logits, width, normalizers) {
    return Array.from(normalizers, (normalizer, r) =>
      topTokens(heap, logits + 4 * r * width, width, [-normalizer], NUM_ALTERNATIVES)
        .map(({ place, total }) => ({ id: place, logprob: total })),
    );
  }
}

/**
 * Search for several sentences, in lockstep.
 *
 * @param {import("./model.js").Model} model
 * @param {Beam[]} beams
 */
export function search(model, beams) {
  const { heap, decoder, generator } = model;
  const { beam: size, temperature } = beams[0].options;
  const memories = beams.map(({ memory }) => memory);
  const state = decoder.initialState(memories, beams.length * size);
  state.reorder(beams.flatMap(({ hypotheses }, b) => hypotheses.map(() => b)));
  const needsCoverage = decoder.attention.coverage;
  let active = beams.map((beam) => ({
    beam,
    weights: heap.zeros(size * beam.memory.steps),
    coverage: needsCoverage ? heap.zeros(size * beam.memory.steps) : 0,
    spare: needsCoverage ? heap.zeros(size * beam.memory.steps) : 0,
  }));
  const mark = heap.mark();
  while (active.length) {
    const groups = active.map(({ beam, weights, coverage }) => {
      return { memory: beam.memory, rows: beam.hypotheses.length, weights, coverage };
    });
    const tokens = active.flatMap(({ beam }) => beam.last);
    const features = decoder.step(tokens, state, groups);
    const { logits, normalizers } = generator.apply(features, tokens.length, groups, temperature);
    let row = 0;
    const index = [];
    const going = [];
    for (const each of active) {
      const { beam } = each;
      const rows = beam.hypotheses.length;
      const { steps } = beam.memory;
      const attention = heap.floats(each.weights, rows * steps).slice();
      const place = logits + 4 * row * generator.width;
      const parents = beam.advance(heap, place, generator.width, normalizers.subarray(row, row + rows), attention);
      if (parents.length) {
        index.push(...parents.map((parent) => row + parent));
        going.push(each);
        if (needsCoverage) {
          parents.forEach((parent, r) => {
            heap.copy(each.coverage + 4 * parent * steps, each.spare + 4 * r * steps, steps);
          });
          [each.coverage, each.spare] = [each.spare, each.coverage];
        }
      }
      row += rows;
    }
    state.reorder(index);
    active = going;
    heap.release(mark);
  }
}

/** @returns {{place: number, total: number}[]} the highest logits + base of their row, as places in rows x width */
function topTokens(heap, logits, width, bases, count) {
  const mark = heap.mark();
  const totals = heap.store(Float32Array.from(bases));
  const places = heap.alloc(4 * count);
  const sums = heap.alloc(4 * count);
  heap.kernel.best(logits, totals, places, sums, bases.length, width, count);
  const found = Array.from({ length: count }, (_, i) => {
    return { place: heap.i32[places / 4 + i], total: heap.f32[sums / 4 + i] };
  });
  heap.release(mark);
  return found;
}

function only(row, token) {
  const kept = row[token];
  row.fill(-Infinity);
  row[token] = kept;
}

/** Forbid the tokens that would repeat an n-gram of `size`. */
function blockNgrams(row, tokens, size) {
  if (size <= 0 || tokens.length < size) return;
  const tail = tokens.slice(tokens.length - size + 1).join();
  for (let at = 0; at + size <= tokens.length; at++) {
    if (tokens.slice(at, at + size - 1).join() === tail) row[tokens[at + size - 1]] = -Infinity;
  }
}
