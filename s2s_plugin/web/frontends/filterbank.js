/** Kaldi's log-mel filterbank, without dither; in float64. */

const [WINDOW_MS, PREEMPHASIS, LOW_HERTZ] = [25, 0.97, 20];
const SMALLEST_ENERGY = 2 ** -23;
const SCALE = 32768; // of samples between -1 and 1

/**
 * @param {Float32Array} waveform between -1 and 1
 * @param {{sample_rate: number, mel_bins: number, frame_shift_ms: number}} options
 * @returns {{frames: number, features: Float32Array}} frames x mel_bins natural logarithms of energies
 */
export function filterbank(waveform, { sample_rate: rate, mel_bins: bins, frame_shift_ms: shiftMs }) {
  const samples = (milliseconds) => Math.trunc(Math.fround(Math.fround(rate * Math.fround(0.001)) * Math.fround(milliseconds)));
  const [width, shift] = [samples(WINDOW_MS), samples(shiftMs)];
  const size = 2 ** Math.ceil(Math.log2(width));
  const window = Float64Array.from({ length: width }, (_, i) => (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (width - 1))) ** 0.85);
  const filters = melFilters(rate, size, bins);
  const transform = new FourierTransform(size);
  const frames = waveform.length < width ? 0 : 1 + Math.floor((waveform.length - width) / shift);
  const features = new Float32Array(frames * bins);
  const frame = new Float64Array(width);
  for (let number = 0; number < frames; number++) {
    for (let i = 0; i < width; i++) frame[i] = waveform[number * shift + i] * SCALE;
    const mean = frame.reduce((sum, each) => sum + each, 0) / width;
    for (let i = width - 1; i >= 0; i--) {
      frame[i] = (frame[i] - mean - PREEMPHASIS * (frame[Math.max(0, i - 1)] - mean)) * window[i];
    }
    const power = transform.power(frame);
    filters.forEach(({ first, weights }, bin) => {
      const energy = weights.reduce((sum, weight, i) => sum + weight * power[first + i], 0);
      features[number * bins + bin] = Math.log(Math.max(energy, SMALLEST_ENERGY));
    });
  }
  return { frames, features };
}

/** @returns {{first: number, weights: number[]}[]} triangles that overlap, evenly spaced in mel */
function melFilters(rate, size, bins) {
  const mel = (hertz) => 1127 * Math.log(1 + hertz / 700);
  const [low, high] = [mel(LOW_HERTZ), mel(rate / 2)];
  const step = (high - low) / (bins + 1);
  const places = Array.from({ length: size / 2 }, (_, i) => mel((i * rate) / size));
  return Array.from({ length: bins }, (_, bin) => {
    const left = low + bin * step;
    const weights = places.map((place) => Math.max(0, Math.min(place - left, left + 2 * step - place) / step));
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

  /** @returns {Float64Array} the power at each of the size / 2 lowest frequencies of real numbers, zeros behind them */
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
    return Float64Array.from({ length: size / 2 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2);
  }
}
