/** Recordings and pictures as the browser reads them. */

import { toWav } from "../server/page/recording.js";
import { readWav } from "./frontends/sound.js";

/** @typedef {{name: string} & (import("./frontends/resize.js").Picture | import("./frontends/sound.js").Sound)} Media */

/**
 * @param {File | Blob} file
 * @param {"audio" | "image"} modality
 * @returns {Promise<Media>}
 */
export async function readMedia(file, modality) {
  const name = file.name ?? "the file";
  try {
    return { name, ...(await (modality === "image" ? readPicture(file) : readSound(file))) };
  } catch (error) {
    const isOurs = error.constructor === Error; // others are the browser's
    throw new Error(`${name}: ${isOurs ? error.message : PROBLEMS[modality]}`);
  }
}

const PROBLEMS = {
  audio: "not a recording that this browser reads; convert it to wav",
  image: "not a picture that this browser reads; convert it to png",
};

/** Read WAV files as they are, for the browser would resample them; all others by the browser. */
async function readSound(file) {
  const sound = readWav(new Uint8Array(await file.arrayBuffer()));
  if (sound) return sound;
  return readWav(new Uint8Array(await (await toWav(file)).arrayBuffer()));
}

/** Read a picture upright, on white, without a correction of its colors, as Python does. */
async function readPicture(file) {
  const image = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const { width, height } = image;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    for (let color = 0; color < 3; color++) pixels[3 * i + color] = data[4 * i + color];
  }
  return { width, height, pixels };
}
