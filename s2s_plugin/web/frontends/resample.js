/** Resampling by a windowed sinc that passes and stops the same frequencies as soxr's HQ quality, which Python uses. */

const [PASSBAND_END, STOPBAND_BEGIN] = [0.9136, 1]; // as parts of half the lower rate
const ATTENUATION = 126.4; // dB in the stopband: 21 bits

/**
 * @param {Float32Array} samples
 * @param {number} from rate in Hz
 * @param {number} to rate in Hz
 * @returns {Float32Array}
 */
export function resample(samples, from, to) {
  const divisor = gcd(from, to);
  const [up, down] = [to / divisor, from / divisor];
  const filters = new Array(up); // of each phase, made when it is needed
  const resampled = new Float32Array(Math.round((samples.length * up) / down));
  for (let i = 0; i < resampled.length; i++) {
    const phase = (i * down) % up;
    const filter = (filters[phase] ??= makeFilter(phase / up, from, to));
    const first = (i * down - phase) / up - (filter.length / 2 - 1);
    const [start, end] = [Math.max(0, -first), Math.min(filter.length, samples.length - first)];
    let sum = 0;
    for (let tap = start; tap < end; tap++) sum += filter[tap] * samples[first + tap];
    resampled[i] = sum;
  }
  return resampled;
}

/** @returns {Float64Array} weights of the samples around a place that is `fraction` behind the one in their middle */
function makeFilter(fraction, from, to) {
  const band = Math.min(1, to / from); // half the lower rate, as a part of half the rate of the samples
  const cutoff = (band * (PASSBAND_END + STOPBAND_BEGIN)) / 2;
  const transition = band * (STOPBAND_BEGIN - PASSBAND_END);
  const half = Math.ceil((ATTENUATION - 7.95) / (2.285 * Math.PI * transition) / 2); // Kaiser 1974
  const beta = 0.1102 * (ATTENUATION - 8.7);
  return Float64Array.from({ length: 2 * half }, (_, i) => {
    const distance = i - (half - 1) - fraction;
    const angle = Math.PI * cutoff * distance;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    const edge = Math.max(0, 1 - (distance / half) ** 2);
    return (cutoff * sinc * bessel(beta * Math.sqrt(edge))) / bessel(beta);
  });
}

/** @returns {number} the modified Bessel function I_0 */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
