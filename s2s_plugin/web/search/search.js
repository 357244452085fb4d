/** The search for several sentences at once. */

/**
 * Search for several sentences, in lockstep.
 *
 * @param {import("../model.js").Model} model
 * @param {import("./beam.js").Beam[]} beams
 */
export function search(model, beams) {
  const { heap, decoder, generator } = model;
  const { beam: size, temperature } = beams[0].options;
  const memories = beams.map(({ memory }) => memory);
  const state = decoder.initialState(memories, beams.length * size);
  state.reorder(beams.flatMap(({ hypotheses }, b) => hypotheses.map(() => b)));
  const needsHistory = decoder.attention.history !== "none";
  let active = beams.map((beam) => ({
    beam,
    weights: heap.zeros(size * beam.memory.steps),
    history: needsHistory ? heap.zeros(size * beam.memory.steps) : 0,
    spare: needsHistory ? heap.zeros(size * beam.memory.steps) : 0,
  }));
  const mark = heap.mark();
  while (active.length) {
    const groups = active.map(({ beam, weights, history }) => {
      return { memory: beam.memory, rows: beam.hypotheses.length, weights, history };
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
      const { width } = generator;
      const scores = { heap, logits: logits + 4 * row * width, width, normalizers: normalizers.subarray(row, row + rows) };
      const parents = beam.advance(scores, attention);
      if (parents.length) {
        index.push(...parents.map((parent) => row + parent));
        going.push(each);
        if (needsHistory) {
          parents.forEach((parent, r) => {
            heap.copy(each.history + 4 * parent * steps, each.spare + 4 * r * steps, steps);
          });
          [each.history, each.spare] = [each.spare, each.history];
        }
      }
      row += rows;
    }
    state.reorder(index);
    active = going;
    heap.release(mark);
  }
}
