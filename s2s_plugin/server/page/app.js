/** The explorer: what a model makes of an input, why, and what else it could have made of it. */

import { drawAttention } from "./attention.js";
import { drawChat } from "./chat.js";
import { decimal, html, percent } from "./dom.js";
import { drawInput } from "./input.js";
import { drawLattice } from "./lattice.js";
import { drawSignal } from "./signal.js";
import { drawTokens } from "./tokens.js";

/**
 * Fill the page.
 * @param {HTMLElement} root
 * @param {any} backend see types.js
 * @param {boolean} [hasKey] somebody has just typed a key
 */
export async function start(root, backend, hasKey = false) {
  try {
    const models = await backend.about();
    root.replaceChildren(...drawPage(models, backend));
  } catch (error) {
    if (error.name === "KeyNeeded") root.replaceChildren(drawKeyForm(hasKey, (key) => (backend.useKey(key), start(root, backend, true))));
    else root.replaceChildren(html("p", { class: "problem", role: "alert" }, error.message));
  }
}

function drawKeyForm(isWrong, use) {
  const key = html("input", { type: "password", name: "key", "aria-label": "Key", required: true, autocomplete: "off" });
  const form = html("form", { class: "turn" }, key, html("button", { type: "submit" }, "Use"));
  form.addEventListener("submit", (event) => (event.preventDefault(), use(key.value.trim())));
  const problem = isWrong ? html("p", { class: "problem", role: "alert" }, "This key is not the server's.") : "";
  return html("section", {}, html("h1", {}, "This server requires a key"), form, problem);
}

function drawPage(models, backend) {
  const place = html("div", {});
  const about = html("p", { class: "quiet" });
  const show = (model) => {
    document.title = `${model.name} · s2s explorer`;
    about.textContent = `${model.app}: ${model.source} to ${model.target}, ${(model.parameters / 1e6).toFixed(1)} million parameters`;
    place.replaceChildren(...drawModel(model, backend));
  };
  const choice = html("select", { "aria-label": "Model" }, ...models.map(({ name }) => html("option", { value: name }, name)));
  choice.addEventListener("change", () => show(models[choice.selectedIndex]));
  show(models[0]);
  const title = html("h1", {}, models.length > 1 ? choice : models[0].name);
  return [html("header", {}, title, about), place];
}

function drawModel(model, backend) {
  const explorer = drawExplorer(model, backend);
  if (!model.chat) return [explorer];
  return [drawChat(() => backend.chat(model.name)),
    html("details", { class: "part" }, html("summary", {}, "What the model does with a single turn"), explorer)];
}

/** Draw the form and, below, the result of what was asked last. */
function drawExplorer(model, backend) {
  const [result, status] = [html("div", { class: "result" }), html("p", { class: "status", role: "status" })];
  const session = { view: "lines", source: null, options: {}, asked: 0 };
  const ask = async (prefix, focus) => {
    const number = (session.asked += 1);
    status.textContent = "Searching …";
    status.className = "status busy";
    try {
      const exploration = await backend.explore({ model: model.name, ...session.source, options: session.options, prefix });
      if (number !== session.asked) return;
      status.textContent = "";
      result.replaceChildren(...drawResult(exploration, { prefix, session, ask }));
      if (focus) result.querySelectorAll(".token")[prefix.length]?.focus();
      if (model.neighbors && session.source.input !== undefined) result.append(drawNeighbors(() => backend.neighbors(model.name, session.source.input)));
    } catch (error) {
      if (number !== session.asked) return;
      status.textContent = error.message;
      status.className = "status problem";
    }
    status.classList.remove("busy");
  };
  const form = drawInput(model, (source, options) => {
    Object.assign(session, { source, options });
    ask([], false);
  });
  return html("div", {}, form, status, result);
}

function drawResult(exploration, { prefix, session, ask }) {
  const { outputs, lattice } = exploration;
  const force = (tokens) => ask(tokens, true);
  const detail = html("div", {});
  const show = (number) => detail.replaceChildren(...drawOutput(exploration, outputs[number], { prefix, session, force }));
  const choices = outputs.map((output, number) => {
    const radio = html("input", { type: "radio", name: "output", checked: number === 0 });
    radio.addEventListener("change", () => show(number));
    return html("label", { class: "output" }, radio, html("span", { class: "text", dir: "auto" }, output.text || "(empty)"),
      html("small", {}, `${percent(output.confidence)} · score ${decimal(output.score)}`));
  });
  show(0);
  const parts = [html("fieldset", { class: "outputs" }, html("legend", {}, outputs.length > 1 ? "Outputs" : "Output"), ...choices), detail];
  if (lattice.length) parts.push(part("Beam", "What the search kept at each step. Choose a token to force the output up to it.", drawLattice(lattice, force)));
  return parts;
}

function drawOutput(exploration, output, { prefix, session, force }) {
  const signal = exploration.signal ? drawSignal(exploration.signal, output) : null;
  const tokens = drawTokens(output, { forced: prefix.length, onForce: force, onSelect: (place) => signal?.select(place) });
  const parts = [part("Tokens", "The bar is the token's probability. Choose a token to see what else could stand there.", tokens)];
  if (signal) parts.push(part("Attention", "Where the model looks as it writes a token. Choose one.", signal.element));
  else if (output.attention) {
    parts.push(part("Attention", "What the model reads as it writes a token.",
      drawAttention(output, session.view, (view) => (session.view = view))));
  }
  return parts;
}

/** Draw the nearest training pairs when they are asked for: the first time takes a while. */
function drawNeighbors(find) {
  const place = html("div", { "aria-live": "polite" });
  const button = html("button", { type: "button", class: "plain" }, "Look them up");
  button.addEventListener("click", async () => {
    button.disabled = true;
    place.textContent = "Looking …";
    try {
      place.replaceChildren(drawPairs(await find()));
      button.remove();
    } catch (error) {
      place.textContent = error.message;
      button.disabled = false;
    }
  });
  return part("Nearest training pairs", "The sources most similar to yours, with their targets.", html("div", {}, button, place));
}

function drawPairs(pairs) {
  const head = html("tr", {}, ...["", "Source", "Target"].map((text) => html("th", { scope: "col" }, text)));
  const rows = pairs.map(({ source, target, similarity }) => html("tr", {}, html("td", {}, decimal(similarity)),
    html("td", { dir: "auto" }, source), html("td", { dir: "auto" }, target)));
  return html("table", { class: "plain" }, html("thead", {}, head), html("tbody", {}, ...rows));
}

function part(title, help, ...content) {
  return html("section", { class: "part" }, html("h2", {}, title), help ? html("p", { class: "quiet" }, help) : "", ...content);
}
