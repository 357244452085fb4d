/** Attention over what is no text: a spectrogram, the frames of a video, a picture. */

import { drawHeatMap } from "./attention.js";
import { alongRow, html, label, roveFocus } from "./dom.js";

const GLOW = [255, 122, 20]; // as in the report
const [MAX_FRAMES, MAX_NARROW_FRAMES] = [12, 5]; // of a video, side by side

/**
 * Draw a signal and the attention of an output to it.
 * @param {import('./types.js').Signal} signal
 * @param {import('./types.js').Output} output
 * @returns {{element: HTMLElement, select: (place: number|null) => void}} select marks what a token attends to
 */
export function drawSignal(signal, output) {
  const pixels = typeof signal.pixels === "string" ? decode(signal.pixels) : signal.pixels;
  const view = signal.kind === "image" ? drawPicture(signal, pixels, output) : drawTimeline(signal, pixels, output);
  if (output.attention === null) return view;
  const details = html("details", {}, html("summary", {}, "Numbers"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(drawHeatMap(output, true, stepNames(signal, output)));
  });
  view.element.append(details);
  return view;
}

function drawPicture(signal, pixels, output) {
  const [overlay, attention] = [html("canvas", {}), output.attention ?? []];
  const strongest = Math.max(1e-9, ...attention.flat());
  const show = (place) => paintWeights(overlay, place === null ? null : attention[place], signal.grid, strongest);
  const thumbnails = attention.map((weights, place) => {
    const glow = html("canvas", {});
    paintWeights(glow, weights, signal.grid, strongest);
    return html("button", { type: "button", onclick: () => select(place), "aria-label": `${label(output.tokens[place])}: ${peak(signal, weights)}` },
      html("span", { class: "picture gray" }, paint(signal, pixels, 0), glow), html("span", {}, label(output.tokens[place])));
  });
  roveFocus(thumbnails, (place, key) => alongRow(place, key, thumbnails.length));
  const select = (place) => {
    thumbnails.forEach((each, number) => each.setAttribute("aria-pressed", String(number === place)));
    whole.classList.toggle("gray", place !== null);
    show(place);
  };
  const whole = html("div", { class: "picture", role: "img", "aria-label": "The picture as the model sees it" }, paint(signal, pixels, 0), overlay);
  select(null);
  return { element: html("div", { class: "signal" }, whole, html("div", { class: "thumbnails" }, ...thumbnails)), select };
}

function drawTimeline(signal, pixels, output) {
  const attention = output.attention ?? [];
  const strongest = Math.max(1e-9, ...attention.flat());
  const overlay = html("canvas", {});
  const frames = signal.kind === "video" ? pickFrames(signal, pixels) : null;
  const above = frames === null
    ? html("div", { class: "spectrogram", role: "img", "aria-label": `Spectrogram of ${signal.seconds.toFixed(1)} seconds` }, paint(signal, pixels, 0), overlay)
    : html("div", { class: "frames", role: "img", "aria-label": `Frames of ${signal.seconds.toFixed(1)} seconds` }, ...frames.map((each) => each.canvas));
  const rows = attention.map((weights, place) => {
    const strip = html("canvas", { "aria-hidden": "true" });
    paintWeights(strip, weights, [1, weights.length], strongest, shareOfSeconds(signal, weights));
    return html("button", { type: "button", onclick: () => select(place), "aria-label": `${label(output.tokens[place])}: ${peak(signal, weights)}` },
      html("span", {}, label(output.tokens[place])), strip);
  });
  const total = attention.length ? attention[0].map((_, step) => attention.reduce((sum, row) => sum + row[step], 0)) : [];
  roveFocus(rows, (place, key) => alongRow(place, key, rows.length));
  const select = (place) => {
    rows.forEach((each, number) => each.setAttribute("aria-pressed", String(number === place)));
    const weights = place === null ? null : attention[place];
    if (frames === null) paintWeights(overlay, weights, [1, attention[0]?.length ?? 1], strongest, shareOfSeconds(signal, weights ?? []));
    else markFrames(frames, weights ?? total, signal.step_seconds);
  };
  select(null);
  const axis = html("div", { class: "axis", "aria-hidden": "true" }, html("span", {}, "0 s"), html("span", {}, `${signal.seconds.toFixed(1)} s`));
  return { element: html("div", { class: "signal" }, html("div", { class: "timeline" }, above, axis, html("div", { class: "strips" }, ...rows))), select };
}

/** Return some frames, spread evenly, each with its canvas and the seconds from where to where it stands for. */
function pickFrames(signal, pixels) {
  const narrow = matchMedia("(max-width: 30rem)").matches;
  const count = Math.min(narrow ? MAX_NARROW_FRAMES : MAX_FRAMES, signal.frames);
  return Array.from({ length: count }, (_, place) => ({
    canvas: paint(signal, pixels, Math.floor((place + 0.5) * signal.frames / count)),
    start: place * signal.seconds / count,
    end: (place + 1) * signal.seconds / count,
  }));
}

/** Mark frames the more, the more attention goes to the steps that they stand for. */
function markFrames(frames, weights, stepSeconds) {
  const last = frames.length - 1;
  const shares = frames.map(({ start, end }, place) => weights.reduce((sum, weight, step) => {
    const middle = (step + 0.5) * stepSeconds;
    return middle >= start && (middle < end || place === last) ? sum + weight : sum;
  }, 0));
  const most = Math.max(1e-9, ...shares);
  frames.forEach(({ canvas }, place) => canvas.style.setProperty("--weight", (shares[place] / most).toFixed(3)));
}

/** Return how much of the signal its steps cover; the last one may reach beyond its end. */
function shareOfSeconds(signal, weights) {
  return weights.length ? (weights.length * signal.step_seconds) / signal.seconds : 1;
}

/** Return a canvas with a frame of the signal. */
function paint({ height, width, channels }, pixels, frame) {
  const canvas = html("canvas", { width, height });
  const image = new ImageData(width, height);
  const start = frame * height * width * channels;
  for (let place = 0; place < height * width; place += 1) {
    for (let color = 0; color < 3; color += 1) image.data[4 * place + color] = pixels[start + place * channels + (channels === 3 ? color : 0)];
    image.data[4 * place + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Paint weights on a canvas that lies over `share` of the signal's width; none if they are null. */
function paintWeights(canvas, weights, [rows, columns], strongest, share = 1) {
  [canvas.width, canvas.height] = [columns, rows];
  canvas.style.setProperty("width", `${100 * share}%`);
  if (weights === null) return;
  const image = new ImageData(columns, rows);
  weights.forEach((weight, place) => image.data.set([...GLOW, Math.round(220 * Math.min(1, weight / strongest))], 4 * place));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function stepNames(signal, output) {
  return output.attention[0].map((_, step) => {
    if (signal.kind !== "image") return `${(step * signal.step_seconds).toFixed(2)} s`;
    return `${Math.floor(step / signal.grid[1]) + 1}, ${(step % signal.grid[1]) + 1}`;
  });
}

/** Return in words where a token attends most. */
function peak(signal, weights) {
  const step = weights.indexOf(Math.max(...weights));
  if (signal.kind === "image") return `most in row ${Math.floor(step / signal.grid[1]) + 1}, column ${(step % signal.grid[1]) + 1}`;
  return `most at ${((step + 0.5) * signal.step_seconds).toFixed(2)} seconds`;
}

function decode(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
