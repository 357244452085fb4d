/** The tokens of an output with their probabilities; of one of them, what else could stand there. */

import { alongRow, areParts, beginsWord, html, label, percent, roveFocus } from "./dom.js";

const UNSURE = 0.5; // probability below which a token is marked

/**
 * Draw the tokens as a row of buttons and, below, the alternatives of the chosen one.
 * @param {import('./types.js').Output} output
 * @param {object} handlers
 * @param {number} [handlers.forced] number of tokens at the beginning that were forced
 * @param {(place: number|null) => void} [handlers.onSelect] a token has been chosen, or none
 * @param {(prefix: string[]) => void} [handlers.onForce] the outputs shall begin with these tokens
 */
export function drawTokens(output, { forced = 0, onSelect = () => {}, onForce = () => {} } = {}) {
  const panel = html("div", { class: "alternatives", hidden: true });
  const parts = areParts(output.tokens);
  const buttons = output.tokens.map((token, place) =>
    drawToken(token, output.probabilities[place], beginsWord(token, parts), place < forced));
  let chosen = null;
  const choose = (place) => {
    chosen = place === chosen ? null : place;
    buttons.forEach((button, each) => button.setAttribute("aria-expanded", String(each === chosen)));
    panel.hidden = chosen === null;
    if (chosen !== null) panel.replaceChildren(...drawAlternatives(output, chosen, forced, onForce));
    onSelect(chosen);
  };
  buttons.forEach((button, place) => button.addEventListener("click", () => choose(place)));
  roveFocus(buttons, (place, key) => alongRow(place, key, buttons.length));
  const element = html("div", {}, html("div", { class: "tokens", role: "group", "aria-label": "Tokens of the output" }, ...buttons), panel);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || chosen === null) return;
    const button = buttons[chosen];
    choose(chosen);
    button.focus();
  });
  return element;
}

function drawToken(token, probability, isWord, forced) {
  const classes = ["token", isWord && "word", probability < UNSURE && "unsure", forced && "forced",
    token === "</s>" && "end"];
  const words = `${label(token)}, ${percent(probability)}${forced ? ", forced" : ""}`;
  return html("button", { type: "button", class: classes.filter(Boolean).join(" "), title: percent(probability),
    "aria-label": words, "aria-expanded": "false", style: { "--share": probability } }, label(token));
}

function drawAlternatives(output, place, forced, onForce) {
  const before = output.tokens.slice(0, place);
  const alternatives = output.alternatives[place] ?? [];
  const parts = output.tokens.some((token) => token.length > 1 && token.startsWith("\u2581")); // and not letters
  const joined = (token) => (beginsWord(token, parts) || place === 0 ? "" : html("small", {}, " joined to the word before"));
  const rows = alternatives.map(({ token, probability }) => {
    const own = token === output.tokens[place];
    return html("li", {}, html("button", { type: "button", disabled: own, style: { "--share": probability },
      onclick: () => onForce([...before, token]) },
    html("span", { class: "name" }, label(token), joined(token)),
    html("span", { class: "share" }, percent(probability)), html("span", { class: "hidden" }, own ? ", as it is" : ", force it")));
  });
  const heading = html("p", {}, alternatives.length
    ? "Choose another token; what follows is searched again."
    : "The search has kept no alternatives here.");
  const actions = html("p", { class: "actions" });
  if (place + 1 > forced) {
    actions.append(html("button", { type: "button", class: "plain", onclick: () => onForce([...before, output.tokens[place]]) },
      "Keep everything up to here"));
  }
  if (forced) actions.append(html("button", { type: "button", class: "plain", onclick: () => onForce([]) }, "Force nothing"));
  return [heading, html("ol", {}, ...rows), actions];
}
