/**
 * Kaldi's log-mel filterbank, without dither. Each step is rounded to float32 where kaldi_native_fbank, which Python uses,
 * does so: a search may turn at the smallest difference.
 */

const round = Math.fround;
const [WINDOW_MS, PREEMPHASIS, LOW_HERTZ] = [25, round(0.97), 20];
const SMALLEST_ENERGY = 2 ** -23;
const SCALE = 32768; // of samples between -1 and 1

/**
 * @param {Float32Array} waveform between -1 and 1
 * @param {{sample_rate: number, mel_bins: number, frame_shift_ms: number}} options
 * @returns {{frames: number, features: Float32Array}} frames x mel_bins natural logarithms of energies
 */
export function filterbank(waveform, { sample_rate: rate, mel_bins: bins, frame_shift_ms: shiftMs }) {
  const samples = (milliseconds) => Math.trunc(round(round(rate * round(0.001)) * round(milliseconds)));
  const [width, shift] = [samples(WINDOW_MS), samples(shiftMs)];
  const size = 2 ** Math.ceil(Math.log2(width));
  const window = Float32Array.from({ length: width }, (_, i) => (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (width - 1))) ** 0.85);
  const filters = melFilters(rate, size, bins);
  const transform = new FourierTransform(size);
  const frames = waveform.length < width ? 0 : 1 + Math.floor((waveform.length - width) / shift);
  const features = new Float32Array(frames * bins);
  const frame = new Float32Array(width);
  for (let number = 0; number < frames; number++) {
    let sum = 0;
    for (let i = 0; i < width; i++) {
      frame[i] = waveform[number * shift + i] * SCALE;
      sum = round(sum + frame[i]);
    }
    const mean = round(sum / width);
    for (let i = 0; i < width; i++) frame[i] -= mean;
    for (let i = width - 1; i >= 0; i--) {
      frame[i] = round(frame[i] - round(PREEMPHASIS * frame[Math.max(0, i - 1)])) * window[i];
    }
    const power = transform.power(frame);
    filters.forEach(({ first, weights }, bin) => {
      let energy = 0;
      weights.forEach((weight, i) => (energy = round(energy + round(weight * power[first + i]))));
      features[number * bins + bin] = Math.log(Math.max(energy, SMALLEST_ENERGY));
    });
  }
  return { frames, features };
}

/** @returns {{first: number, weights: number[]}[]} triangles that overlap, evenly spaced in mel */
function melFilters(rate, size, bins) {
  const mel = (hertz) => round(1127 * round(Math.log(round(1 + round(hertz / 700)))));
  const low = mel(LOW_HERTZ);
  const step = round(round(mel(rate / 2) - low) / (bins + 1));
  const edges = Array.from({ length: bins + 2 }, (_, edge) => round(low + round(edge * step)));
  const places = Array.from({ length: size / 2 }, (_, i) => mel(i * round(rate / size)));
  return Array.from({ length: bins }, (_, bin) => {
    const [left, center, right] = edges.slice(bin, bin + 3);
    const weights = places.map((place) => {
      const side = place <= center ? round(place - left) / round(center - left) : round(right - place) / round(right - center);
      return Math.max(0, round(side));
    });
    const first = Math.max(0, weights.findIndex((weight) => weight > 0));
    return { first, weights: weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1) };
  });
}

/** A Fourier transform of a power of two, in place (Cooley and Tukey 1965). */
class FourierTransform {
  constructor(size) {
    this.size = size;
    this.cosines = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sines = Float64Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
    const bits = Math.log2(size);
    this.order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) if (i & (1 << bit)) reversed |= 1 << (bits - 1 - bit);
      return reversed;
    });
    this.real = new Float64Array(size);
    this.imaginary = new Float64Array(size);
  }

  /** @returns {Float32Array} the power at each of the size / 2 lowest frequencies of real numbers, zeros behind them */
  power(numbers) {
    const { size, cosines, sines, real, imaginary } = this;
    this.order.forEach((from, to) => (real[to] = from < numbers.length ? numbers[from] : 0));
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let i = 0; i < half; i++) {
          const [low, high] = [start + i, start + i + half];
          const [cosine, sine] = [cosines[i * stride], sines[i * stride]];
          const x = real[high] * cosine - imaginary[high] * sine;
          const y = real[high] * sine + imaginary[high] * cosine;
          real[high] = real[low] - x;
          imaginary[high] = imaginary[low] - y;
          real[low] += x;
          imaginary[low] += y;
        }
      }
    }
    return Float32Array.from({ length: size / 2 }, (_, i) => round(round(real[i]) ** 2) + round(round(imaginary[i]) ** 2));
  }
}
