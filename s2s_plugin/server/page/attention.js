/** Attention between two texts: lines, a heat map, or a table of numbers. */

import { alongRow, html, label, roveFocus, svg } from "./dom.js";

const ROW = 28; // pixels of a token; the style sheet knows it too
const MIN_WEIGHT = 0.02; // drawn as a line
const NAMED = 3; // source tokens that a screen reader names

/**
 * Draw the attention of an output, with a choice among the views.
 * @param {import('./types.js').Output} output
 * @param {string} [chosen] lines, heat or numbers
 * @param {(view: string) => void} [onView]
 */
export function drawAttention(output, chosen = "lines", onView = () => {}) {
  const views = { lines: "Lines", heat: "Heat map", numbers: "Numbers" };
  const place = html("div", {});
  const show = (view) => {
    place.replaceChildren(view === "lines" ? drawLines(output) : drawHeatMap(output, view === "numbers"));
    onView(view);
  };
  const choice = html("fieldset", { class: "choice" }, html("legend", { class: "hidden" }, "View of the attention"));
  for (const [view, name] of Object.entries(views)) {
    const radio = html("input", { type: "radio", name: "attention", value: view, checked: view === chosen });
    radio.addEventListener("change", () => show(view));
    choice.append(html("label", {}, radio, html("span", {}, name)));
  }
  show(chosen);
  return html("div", { class: "attention" }, choice, place);
}

/** Draw lines between the source, on the left, and the output; those of the token under the pointer stand out. */
export function drawLines(output) {
  const { source_tokens: source, tokens, attention } = output;
  const height = ROW * Math.max(source.length, tokens.length);
  const lines = svg("svg", { viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true",
    style: { height: `${height}px` } });
  const marked = { source: new Set(), target: new Set() };
  const drawn = [];
  attention.forEach((row, target) => row.forEach((weight, step) => {
    if (weight < MIN_WEIGHT) return;
    const line = svg("line", { x1: 0, y1: ROW * (step + 0.5), x2: 100, y2: ROW * (target + 0.5),
      "stroke-opacity": weight.toFixed(3), "vector-effect": "non-scaling-stroke" });
    drawn.push({ line, target, step });
    lines.append(line);
  }));
  const mark = (side, index) => {
    marked.source.clear();
    marked.target.clear();
    if (index !== null) marked[side].add(index);
    lines.classList.toggle("some", index !== null);
    for (const { line, target, step } of drawn) {
      line.classList.toggle("marked", marked.source.has(step) || marked.target.has(target));
    }
  };
  const column = (side, items, describe) => html("ol", { class: side, "aria-label": side === "source" ? "Source tokens" : "Output tokens" },
    ...items.map((token, index) => {
      const on = () => mark(side, index);
      const off = () => mark(side, null);
      return html("li", { onpointerenter: on, onpointerleave: off },
        html("span", { onfocus: on, onblur: off }, label(token),
          html("span", { class: "hidden" }, describe(index))));
    }));
  const targets = column("target", tokens, (index) => describe(source, attention[index]));
  roveFocus([...targets.querySelectorAll("li > span")], (place, key) => alongRow(place, key, tokens.length));
  return html("div", { class: "lines" }, column("source", source, () => ""), lines, targets);
}

/** Draw a table of weights, a row for each token, a column for each source step. */
export function drawHeatMap(output, numbers = false, steps = output.source_tokens) {
  const head = html("tr", {}, html("td", {}), ...steps.map((token) => html("th", { scope: "col" }, html("span", {}, label(token)))));
  const rows = output.tokens.map((token, target) => html("tr", {}, html("th", { scope: "row" }, label(token)),
    ...output.attention[target].map((weight) => html("td", { style: { "--weight": weight } }, html("span", {}, weight.toFixed(2))))));
  const caption = html("caption", { class: "hidden" }, "Attention of each output token, in rows, to the source, in columns");
  const table = html("table", { class: numbers ? "heat numbers" : "heat" }, caption, html("thead", {}, head), html("tbody", {}, ...rows));
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Attention weights" }, table);
}

function describe(source, weights) {
  const order = weights.map((_, step) => step).sort((a, b) => weights[b] - weights[a]).slice(0, NAMED);
  return `: ${order.map((step) => `${label(source[step])} ${weights[step].toFixed(2)}`).join(", ")}`;
}
