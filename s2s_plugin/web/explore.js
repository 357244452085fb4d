/** What the explorer's page asks of a model, see s2s_plugin/server/page/types.js. */

import { EOS } from "./dictionary.js";

/**
 * @param {import("./model.js").Model} model
 * @param {{input: import("./model.js").Input, options: object, prefix: string[]}} request
 * @returns {object} an Exploration
 */
export function explore(model, { input, options, prefix }) {
  const { nbest, ...search } = options;
  const forced = prefix.map((token) => {
    const id = model.targetIds.get(token);
    if (id === undefined) throw new Error(`${token} is not in the vocabulary`);
    return id;
  });
  let lattice = [];
  let signal = null;
  const source = model.read(input);
  const settings = { options: search, nbest, prefix: forced, explain: true };
  settings.onSearched = ([beam]) => {
    lattice = latticeOf(beam, model.target);
    if (model.frontend) signal = model.frontend.show(source, { grid: beam.memory.grid, stride: model.encoder.stride });
  };
  const [outputs] = model.decode([source], settings);
  mark(lattice, outputs[0].tokens);
  return { outputs, lattice: lattice.map((step) => step.map(({ path, ...node }) => node)), signal };
}

/** @returns {object[][]} the hypotheses after each step of a search, best first */
function latticeOf(beam, symbols) {
  const lattice = [];
  let before = new Map(); // indices in the step before, by hypothesis
  beam.steps.forEach((step, number) => {
    const totalsBefore = number === 0 ? step.parents.map(() => 0) : beam.steps[number - 1].totals;
    const ended = step.ends.map(({ parent, total }) => ({ own: null, parent, token: EOS, total }));
    const going = step.tokens
      .map((token, own) => ({ own, parent: step.parents[own], token, total: step.totals[own] }))
      .filter(({ total }) => total > -Infinity);
    const after = new Map();
    const all = [...ended, ...going].sort((a, b) => b.total - a.total);
    lattice.push(all.map(({ own, parent, token, total }, index) => {
      if (own !== null) after.set(own, index);
      const place = number === 0 ? null : before.get(parent);
      const path = [...(place === null ? [] : lattice[number - 1][place].path), symbols[token]];
      const probability = Math.min(1, Math.exp(total - totalsBefore[parent]));
      const score = beam.score(total, number + 1);
      return { token: symbols[token], parent: place, score, probability, best: false, ended: own === null, path };
    }));
    before = after;
  });
  return lattice;
}

/** Mark the hypotheses that an output has passed. */
function mark(lattice, tokens) {
  lattice.slice(0, tokens.length).forEach((step, number) => {
    const path = tokens.slice(0, number + 1).join(" ");
    for (const node of step) node.best = node.path.join(" ") === path;
  });
}
