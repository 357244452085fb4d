/** Log-mel features of recordings, see s2s_plugin/datasets/frontends/audio.py. */

import { filterbank } from "./filterbank.js";
import { resample } from "./resample.js";

const MIN_SECONDS = 0.025; // one window
const CANCELLATION = 0.1; // share of the power of one channel in the mean, below which channels cancel out
const SILENCE = 1e-5;
const MAX_STEPS = 600; // of a spectrogram that is drawn
const [DARKEST, BRIGHTEST] = [2, 99.5]; // percentiles

/** Recordings as a speech encoder reads them; a source step is a frame. */
export class AudioFrontend {
  /**
   * @param {{sample_rate: number, mel_bins: number, frame_shift_ms: number, normalize: string, max_seconds: number}} options
   */
  constructor(options) {
    this.options = options;
  }

  /**
   * @param {import("./sound.js").Sound} sound
   * @returns {import("../encoders/rnn.js").Source} values frames x mel_bins
   */
  read({ channels, rate }) {
    const { sample_rate: wanted, max_seconds: limit, normalize } = this.options;
    const mean = averageOf(channels);
    const own = audibleChannel(channels, mean) ?? mean;
    const waveform = rate === wanted ? own : resample(own, rate, wanted);
    const seconds = waveform.length / wanted;
    if (seconds < MIN_SECONDS) throw new Error(`must be at least ${1000 * MIN_SECONDS} ms, got ${Math.round(1000 * seconds)} ms`);
    if (seconds > limit) throw new Error(`must be at most ${limit} seconds long, got ${Math.round(seconds)}; cut it into sentences`);
    if (!waveform.every(Number.isFinite)) throw new Error("samples must be finite; convert it again");
    if (waveform.every((sample) => Math.abs(sample) < SILENCE)) throw new Error("silent throughout; record it again");
    const { frames, features } = filterbank(waveform, this.options);
    if (normalize !== "none") standardize(features, normalize === "channel" ? features.length / frames : 1);
    return { length: frames, values: features.map(toFloat16) };
  }

  /** @returns {import("../../server/page/types.js").Signal} a source and what its memory steps cover, for display */
  show({ length, values }, { stride }) {
    const seconds = this.options.frame_shift_ms / 1000;
    const bins = values.length / length;
    const joined = Math.ceil(length / MAX_STEPS);
    const width = Math.ceil(length / joined);
    const means = new Float64Array(width * bins);
    for (let frame = 0; frame < length; frame++) {
      const step = Math.floor(frame / joined);
      const count = Math.min(joined, length - step * joined);
      for (let bin = 0; bin < bins; bin++) means[step * bins + bin] += values[frame * bins + bin] / count;
    }
    const order = means.slice().sort();
    const [low, high] = [percentile(order, DARKEST), percentile(order, BRIGHTEST)];
    const pixels = new Uint8Array(means.length); // the highest frequency in row 0
    means.forEach((value, i) => {
      const light = ((value - low) / Math.max(high - low, 1e-6)) * 255;
      pixels[(bins - 1 - (i % bins)) * width + Math.floor(i / bins)] = Math.min(255, Math.max(0, light));
    });
    const size = { frames: 1, height: bins, width, channels: 1 };
    return { kind: "audio", pixels, ...size, seconds: length * seconds, step_seconds: stride * seconds };
  }
}

function averageOf(channels) {
  const mean = new Float32Array(channels[0].length);
  for (let i = 0; i < mean.length; i++) mean[i] = channels.reduce((sum, each) => sum + each[i], 0) / channels.length;
  return mean;
}

/** @returns {Float32Array | null} the loudest channel if the mean of all has lost what is in it, as with opposite phases */
function audibleChannel(channels, mean) {
  if (channels.length === 1 || !mean.length) return null;
  const powers = channels.map(variance);
  const loudest = Math.max(...powers);
  const isCancelled = variance(mean) * channels.length ** 2 < CANCELLATION * loudest;
  return isCancelled ? channels[powers.indexOf(loudest)] : null;
}

function variance(samples) {
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  return samples.reduce((sum, each) => sum + (each - mean) ** 2, 0) / samples.length;
}

/**
 * Shift and scale the columns of rows x width to mean 0, variance 1. Sums are in float32 if there are several, one number
 * after the other as in NumPy.
 */
function standardize(features, width) {
  const Sums = width > 1 ? Float32Array : Float64Array;
  const count = features.length / width;
  const [means, deviations] = [new Sums(width), new Sums(width)];
  features.forEach((value, i) => (means[i % width] += value));
  means.forEach((sum, column) => (means[column] = sum / count));
  features.forEach((value, i) => {
    features[i] = value - means[i % width];
    deviations[i % width] += Math.fround(features[i] ** 2);
  });
  deviations.forEach((sum, column) => (deviations[column] = Math.max(Math.sqrt(Math.fround(sum / count)), 1e-3)));
  features.forEach((value, i) => (features[i] = value / deviations[i % width]));
}

/** @returns {number} the nearest number of 16 bits: features are stored so */
function toFloat16(value) {
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(value))));
  const step = 2 ** (exponent - 10);
  const count = value / step;
  const low = Math.floor(count);
  if (count - low !== 0.5) return Math.round(count) * step;
  return (low % 2 === 0 ? low : low + 1) * step;
}

/** @returns {number} as numpy.percentile interpolates it */
function percentile(order, percent) {
  const place = ((order.length - 1) * percent) / 100;
  const low = Math.floor(place);
  return order[low] + (place - low) * ((order[low + 1] ?? order[low]) - order[low]);
}
