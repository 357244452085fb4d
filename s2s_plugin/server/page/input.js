/** The form: a text, or a file that is uploaded, recorded or taken; and the options of the search. */

import { html } from "./dom.js";
import { record, toWav } from "./recording.js";

const KINDS = {
  audio: { accept: "audio/*", name: "recording" },
  video: { accept: "video/*", name: "video", capture: "user" },
  image: { accept: "image/*", name: "picture", capture: "environment" },
};
const READ_AS_IT_IS = /\.(wav|flac|ogg|opus|mp3)$/i; // other recordings are converted here

/**
 * Draw the form of a model.
 * @param {import('./types.js').About} about
 * @param {(source: {input?: string, file?: Blob}, options: Object<string, number|boolean>) => void} onSubmit
 */
export function drawInput(about, onSubmit) {
  const source = about.modality === "text" ? drawText() : drawFile(about.modality, () => form.requestSubmit());
  const options = drawOptions(about);
  const submit = html("button", { type: "submit" }, about.modality === "text" ? "Go" : "Go again");
  const form = html("form", { class: "input" }, source.element, html("div", { class: "actions" }, submit), options.element);
  options.element.addEventListener("change", () => form.requestSubmit());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = source.value();
    if (value !== null) onSubmit(value, options.value());
  });
  return form;
}

function drawText() {
  const text = html("textarea", { name: "source", rows: 3, placeholder: "Type a text", "aria-label": "Text", autocapitalize: "sentences" });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    text.form.requestSubmit();
  });
  const value = () => (text.value.trim() ? { input: text.value.trim().replaceAll("\n", " ") } : null);
  return { element: text, value };
}

function drawFile(modality, onFile) {
  const { accept, name, capture } = KINDS[modality];
  let file = null;
  const preview = html("div", { class: "preview", "aria-live": "polite" });
  const use = async (chosen) => {
    file = modality === "audio" && !READ_AS_IT_IS.test(chosen.name) ? await toWav(chosen).catch(() => chosen) : chosen;
    preview.replaceChildren(drawPreview(modality, file));
    onFile();
  };
  const pick = (text, attributes) => {
    const input = html("input", { type: "file", accept, class: "hidden", ...attributes });
    input.addEventListener("change", () => input.files.length && use(input.files[0]));
    return html("label", { class: "button" }, input, html("span", {}, text));
  };
  const buttons = [pick(`Choose a ${name}`, { name: "file" })];
  if (capture) buttons.push(pick(modality === "image" ? "Take a picture" : "Film", { capture }));
  if (modality === "audio" && navigator.mediaDevices && window.MediaRecorder) buttons.push(drawRecorder(use, preview));
  const element = html("div", { class: "file" }, html("div", { class: "actions" }, ...buttons), preview);
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) use(event.dataTransfer.files[0]);
  });
  return { element, value: () => (file === null ? null : { file }) };
}

function drawPreview(modality, file) {
  const address = URL.createObjectURL(file);
  const forget = () => URL.revokeObjectURL(address);
  if (modality === "image") return html("img", { src: address, alt: "Your picture", onload: forget, onerror: forget });
  return html(modality, { src: address, controls: true, "aria-label": `Your ${KINDS[modality].name}`, muted: modality === "video" });
}

function drawRecorder(use, preview) {
  let stop = null;
  const button = html("button", { type: "button", class: "record" }, "Record");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      if (stop === null) {
        stop = await record();
        button.textContent = "Stop";
      } else {
        const end = stop;
        stop = null;
        button.textContent = "Record";
        use(await end());
      }
    } catch (error) {
      preview.replaceChildren(html("p", { class: "problem" }, `No recording: ${error.message}`));
    }
    button.classList.toggle("on", stop !== null);
    button.disabled = false;
  });
  return button;
}

function drawOptions(about) {
  const numbers = {
    beam: { text: "Beam", min: 1, max: about.max_beam, step: 1, value: about.beam, help: "hypotheses at a time" },
    nbest: { text: "Outputs", min: 1, max: about.max_beam, step: 1, value: Math.min(3, about.beam), help: "best of the beam" },
    lenpen: { text: "Length penalty", min: -5, max: 5, step: 0.1, value: about.lenpen, help: "above 1 favors long outputs" },
  };
  const sampled = {
    temperature: { text: "Temperature", min: 0.1, max: 5, step: 0.1, value: 1, help: "below 1: closer to the likeliest" },
    seed: { text: "Seed", min: 0, max: 2 ** 31 - 1, step: 1, value: 1, help: "another one, other outputs" },
  };
  const fields = {};
  const draw = ([name, { text, help, ...attributes }]) => {
    fields[name] = html("input", { type: "number", name, inputmode: "decimal", required: true, ...attributes });
    return html("label", {}, html("span", {}, `${text} `, html("small", {}, help)), fields[name]);
  };
  const sampling = html("input", { type: "checkbox", name: "sampling" });
  const group = html("fieldset", { disabled: true }, html("legend", { class: "hidden" }, "Sampling"), ...Object.entries(sampled).map(draw));
  sampling.addEventListener("change", () => (group.disabled = !sampling.checked));
  const rows = html("div", { class: "options" }, ...Object.entries(numbers).map(draw),
    html("label", { class: "check" }, sampling, html("span", {}, "Sample ", html("small", {}, "draw outputs at random"))), group);
  const value = () => {
    const used = { ...numbers, ...(sampling.checked ? sampled : {}) };
    const values = Object.fromEntries(Object.keys(used).map((name) => [name, Number(fields[name].value)]));
    return { ...values, beam: Math.max(values.beam, values.nbest), sampling: sampling.checked };
  };
  return { element: html("details", {}, html("summary", {}, "Search options"), rows), value };
}
