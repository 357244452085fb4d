/** The target of the most similar training source, by TF-IDF of character n-grams; see s2s_plugin/text/retrieval.py. */

import { matchKey } from "./normalize.js";

/** Separates the turns of a source that is a conversation. */
export const TURN = "<turn>";

/** Separates the retrieved target from the source. */
export const RETRIEVED = "<retrieved>";

/** A memory of training pairs. */
export class Retrieval {
  /** @param {string[][]} pairs of source and target */
  constructor(pairs) {
    this.pairs = pairs;
    this.postings = null;
  }

  /** Weigh the n-grams of all sources, when the first one is looked for. */
  #index() {
    const { pairs } = this;
    const counts = pairs.map(([source]) => count(lastTurn(source)));
    const documents = new Map();
    for (const each of counts) for (const gram of each.keys()) documents.set(gram, (documents.get(gram) ?? 0) + 1);
    this.idf = new Map([...documents].map(([gram, n]) => [gram, Math.log((1 + pairs.length) / (1 + n)) + 1]));
    this.postings = new Map(); // the texts with an n-gram, and its weight there
    counts.forEach((each, i) => {
      for (const [gram, weight] of this.#weigh(each)) {
        if (!this.postings.has(gram)) this.postings.set(gram, []);
        this.postings.get(gram).push([i, weight]);
      }
    });
  }

  /** @returns {string} */
  target(source) {
    if (!this.postings) this.#index();
    const cosines = new Float64Array(this.pairs.length);
    for (const [gram, weight] of this.#weigh(count(lastTurn(source)))) {
      for (const [i, other] of this.postings.get(gram)) cosines[i] += weight * other;
    }
    let best = 0;
    for (let i = 1; i < cosines.length; i++) if (cosines[i] > cosines[best]) best = i;
    return this.pairs[best][1];
  }

  #weigh(counts) {
    const known = [...counts].filter(([gram]) => this.idf.has(gram));
    const weights = known.map(([gram, n]) => [gram, n * this.idf.get(gram)]);
    const norm = Math.sqrt(weights.reduce((sum, [, weight]) => sum + weight * weight, 0)) || 1;
    return weights.map(([gram, weight]) => [gram, weight / norm]);
  }
}

/** @returns {string} the last turn of a conversation; any other source is one turn */
export function lastTurn(source) {
  return source.slice(source.lastIndexOf(TURN) + (source.includes(TURN) ? TURN.length : 1));
}

/** @returns {Map<string, number>} how often each n-gram of one to three characters occurs; _ ends a word */
function count(turn) {
  const key = matchKey(turn);
  const text = `_${key.split(" ").filter(Boolean).join("_")}_`;
  const line = /[\ud800-\udfff]/.test(text) ? [...text] : text;
  const counts = new Map();
  for (const size of [1, 2, 3]) {
    for (let start = 0; start + size <= line.length; start++) {
      const part = line.slice(start, start + size);
      const gram = typeof part === "string" ? part : part.join("");
      counts.set(gram, (counts.get(gram) ?? 0) + 1);
    }
  }
  return counts;
}
