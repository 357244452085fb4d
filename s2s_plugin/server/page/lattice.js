/** The beam as a lattice: a column for each step, a line from each hypothesis to what continues it. */

import { areParts, decimal, html, label, percent, roveFocus, svg } from "./dom.js";

const COLUMN = 104; // pixels
const ROW = 52;
const NODE = 88; // pixels wide

/**
 * Draw the lattice.
 * @param {import('./types.js').Node[][]} all
 * @param {(prefix: string[]) => void} [onForce] the outputs shall begin with these tokens
 */
export function drawLattice(all, onForce = () => {}) {
  const lattice = withoutLooseEnds(all);
  const alive = survivors(lattice);
  const width = COLUMN * lattice.length;
  const height = ROW * Math.max(...lattice.map((step) => step.length));
  const lines = svg("svg", { width, height, "aria-hidden": "true" });
  const [buttons, where] = [[], []];
  lattice.forEach((step, column) => step.forEach((node, row) => {
    const states = [node.best && "best", node.ended && "ended", !alive[column][row] && "lost"].filter(Boolean).join(" ");
    if (node.parent !== null) {
      const [x, y] = [COLUMN * (column - 1) + NODE, ROW * (node.parent + 0.5)];
      const [x2, y2] = [COLUMN * column, ROW * (row + 0.5)];
      lines.append(svg("path", { class: states, d: `M${x},${y} C${x + 8},${y} ${x2 - 8},${y2} ${x2},${y2}` }));
    }
    where.push([column, row]);
    buttons.push(html("button", { type: "button", class: `node ${states}`, title: describe(node),
      "aria-label": `${label(node.token)}, ${describe(node)}`, style: { left: `${COLUMN * column}px`, top: `${ROW * row + 4}px` },
      onclick: () => onForce(pathTo(lattice, column, row)) }, html("span", {}, label(node.token)), html("small", {}, decimal(node.score))));
  }));
  const index = new Map(where.map(([column, row], place) => [`${column} ${row}`, place]));
  const at = (column, row) => index.get(`${column} ${row}`) ?? -1;
  roveFocus(buttons, (place, key) => neighbor(lattice, where[place], key, at));
  const canvas = html("div", { class: "lattice", style: { width: `${width}px`, height: `${height}px` } }, lines, ...buttons);
  return html("div", {},
    html("div", { class: "scroll", role: "group", "aria-label": "Lattice of the beam; arrow keys move along it" }, canvas),
    listFinished(lattice));
}

/** Return the tokens from the beginning to a node. */
export function pathTo(lattice, column, row) {
  const tokens = [];
  for (let place = row; column >= 0; column -= 1) {
    tokens.unshift(lattice[column][place].token);
    place = lattice[column][place].parent;
  }
  return tokens;
}

/** Leave out hypotheses of the last step that are not finished, if others are: nothing continues them. */
function withoutLooseEnds(lattice) {
  const finished = lattice.at(-1).filter((node) => node.ended);
  return finished.length ? [...lattice.slice(0, -1), finished] : lattice;
}

/** Return, for each node, whether a finished hypothesis passes there. */
function survivors(lattice) {
  const alive = lattice.map((step) => step.map((node) => node.ended));
  for (let column = lattice.length - 1; column > 0; column -= 1) {
    lattice[column].forEach((node, row) => {
      if (alive[column][row]) alive[column - 1][node.parent] = true;
    });
  }
  return alive;
}

function neighbor(lattice, [column, row], key, at) {
  if (key === "ArrowUp") return at(column, row - 1);
  if (key === "ArrowDown") return at(column, row + 1);
  if (key === "ArrowLeft") return at(column - 1, lattice[column][row].parent);
  if (key === "ArrowRight") return at(column + 1, (lattice[column + 1] ?? []).findIndex((node) => node.parent === row));
  return -1;
}

function describe(node) {
  return `${percent(node.probability)}, score ${decimal(node.score)}${node.ended ? ", finished" : ""}`;
}

/** List the finished hypotheses, for who cannot see the drawing. */
function listFinished(lattice) {
  const finished = lattice.flatMap((step, column) => step.flatMap((node, row) => (node.ended ? [{ node, column, row }] : [])));
  finished.sort((a, b) => b.node.score - a.node.score);
  const parts = areParts(lattice.flat().map(({ token }) => token));
  const text = (tokens) => (parts ? tokens.join("").replaceAll("\u2581", " ") : tokens.join(" ")).trim();
  const rows = finished.map(({ node, column, row }) => html("tr", {}, html("td", {}, decimal(node.score)),
    html("td", {}, text(pathTo(lattice, column, row).slice(0, -1)))));
  const head = html("tr", {}, html("th", { scope: "col" }, "Score"), html("th", { scope: "col" }, "Hypothesis"));
  return html("details", {}, html("summary", {}, `${finished.length} finished hypotheses`),
    html("table", { class: "plain" }, html("thead", {}, head), html("tbody", {}, ...rows)));
}
