/** The samples of WAV files, as libsndfile reads them. */

const [PCM, FLOAT, EXTENSIBLE] = [1, 3, 0xfffe];
const MIN_PLACEHOLDER = 0x7fff0000; // where streams leave the length open
const MAX_EXCESS = 128; // bytes that a length may be too long; some count the header
const FORMAT_BYTES = 16;

/**
 * @typedef {object} Sound
 * @property {Float32Array[]} channels samples between -1 and 1
 * @property {number} rate in Hz
 */

/**
 * @param {Uint8Array} bytes of a file
 * @returns {Sound | null} null: no WAV file, or one of another coding than plain numbers
 */
export function readWav(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let format = null;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (name(at) === "fmt " && at + 8 + FORMAT_BYTES <= bytes.length) format = readFormat(view, at + 8, size);
    if (name(at) === "data") return format && readSamples(view, at + 8, size, format);
    at += 8 + size + (size % 2);
  }
  return null;
}

function readFormat(view, at, size) {
  const tag = view.getUint16(at, true);
  const isLong = tag === EXTENSIBLE && size >= 26 && at + 26 <= view.byteLength;
  return {
    coding: isLong ? view.getUint16(at + 24, true) : tag,
    channels: view.getUint16(at + 2, true),
    rate: view.getUint32(at + 4, true),
    bytes: view.getUint16(at + 14, true) / 8, // of a sample
  };
}

function readSamples(view, start, declared, { coding, channels, rate, bytes }) {
  const read = { [PCM]: READERS[bytes], [FLOAT]: FLOAT_READERS[bytes] }[coding];
  if (!read || !channels || !rate) return null;
  const available = view.byteLength - start;
  if (declared > available + MAX_EXCESS && declared < MIN_PLACEHOLDER) {
    throw new Error(`truncated, expected ${declared.toLocaleString("en")} bytes, got ${available.toLocaleString("en")}; fetch it again`);
  }
  const length = Math.floor(Math.min(declared, available) / (bytes * channels));
  const sound = Array.from({ length: channels }, () => new Float32Array(length));
  for (let i = 0; i < length; i++) {
    for (let c = 0; c < channels; c++) sound[c][i] = read(view, start + bytes * (i * channels + c));
  }
  return { channels: sound, rate };
}

/** By the number of bytes of a sample. */
const READERS = {
  1: (view, at) => (view.getUint8(at) - 128) / 2 ** 7,
  2: (view, at) => view.getInt16(at, true) / 2 ** 15,
  3: (view, at) => (view.getInt16(at + 1, true) * 2 ** 8 + view.getUint8(at)) / 2 ** 23,
  4: (view, at) => view.getInt32(at, true) / 2 ** 31,
};
const FLOAT_READERS = {
  4: (view, at) => view.getFloat32(at, true),
  8: (view, at) => view.getFloat64(at, true),
};
