/** The best continuations of hypotheses. */

/**
 * @typedef {object} Scores of the next token for K hypotheses: log-probabilities are logits minus the normalizer of their row
 * @property {import("../kernel/heap.js").Heap} heap
 * @property {number} logits place of K x width
 * @property {number} width
 * @property {Float32Array} normalizers K
 */

/**
 * @param {Scores} scores
 * @param {number[]} bases what is added to the logits of each row
 * @param {number} count
 * @param {number} [first] row that bases begin with
 * @returns {{place: number, total: number}[]} the highest sums, as places in rows x width; -1 and minus infinity where there
 *   are no more
 */
export function topTokens({ heap, logits, width }, bases, count, first = 0) {
  const mark = heap.mark();
  const totals = heap.store(Float32Array.from(bases));
  const places = heap.alloc(4 * count);
  const sums = heap.alloc(4 * count);
  heap.kernel.best(logits + 4 * first * width, totals, places, sums, bases.length, width, count);
  const found = Array.from({ length: count }, (_, i) => {
    return { place: heap.i32[places / 4 + i], total: heap.f32[sums / 4 + i] };
  });
  heap.release(mark);
  return found;
}
