/** The functions of kernel.c in plain JavaScript, for browsers without WebAssembly's vectors: the same, slower. */

const LEVELS = 127;

/** @param {import("./heap.js").Heap} heap */
export function plainKernel(heap) {
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  return {
    product(x, w, b, y, rows, outputs, inputs) {
      const { f32 } = heap;
      for (let r = 0; r < rows; r++) {
        for (let o = 0; o < outputs; o++) {
          let sum = 0;
          const xs = x / 4 + r * inputs;
          const ws = w / 4 + o * inputs;
          for (let i = 0; i < inputs; i++) sum += f32[xs + i] * f32[ws + i];
          f32[y / 4 + r * outputs + o] = sum + (b ? f32[b / 4 + o] : 0);
        }
      }
    },

    quantize(x, q, scales, rows, inputs, bounded) {
      const { f32, i16 } = heap;
      for (let r = 0; r < rows; r++) {
        const xs = x / 4 + r * inputs;
        let scale = Math.fround(1 / LEVELS);
        if (!bounded) {
          let top = 0;
          for (let i = 0; i < inputs; i++) top = Math.max(top, Math.abs(f32[xs + i]));
          scale = Math.max(Math.fround(top * scale), 2 ** -126);
        }
        f32[scales / 4 + r] = scale;
        for (let i = 0; i < inputs; i++) {
          const level = Math.fround(bounded ? f32[xs + i] * LEVELS : f32[xs + i] / scale);
          i16[q / 2 + r * inputs + i] = Math.floor(Math.fround(level + 128.5)) - 128;
        }
      }
    },

    productInt8(q, scales, w, wScales, b, y, rows, outputs, inputs) {
      const { f32, i8, i16 } = heap;
      for (let r = 0; r < rows; r++) {
        const scale = f32[scales / 4 + r];
        for (let o = 0; o < outputs; o++) {
          let sum = 0;
          const qs = q / 2 + r * inputs;
          const ws = w + o * inputs;
          for (let i = 0; i < inputs; i++) sum += i16[qs + i] * i8[ws + i];
          f32[y / 4 + r * outputs + o] = sum * f32[wScales / 4 + o] * scale + (b ? f32[b / 4 + o] : 0);
        }
      }
    },

    lstm(gates, h, c, rows, units) {
      const { f32 } = heap;
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < units; i++) {
          const at = gates / 4 + 4 * r * units + i;
          const place = r * units + i;
          const kept = sigmoid(f32[at + units]) * f32[c / 4 + place];
          const cell = kept + sigmoid(f32[at]) * Math.tanh(f32[at + 2 * units]);
          const hidden = sigmoid(f32[at + 3 * units]) * Math.tanh(cell);
          f32[h / 4 + place] = hidden;
          f32[c / 4 + place] = cell;
        }
      }
    },

    gru(inputs, states, h, rows, units) {
      const { f32 } = heap;
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < units; i++) {
          const x = inputs / 4 + 3 * r * units + i;
          const s = states / 4 + 3 * r * units + i;
          const place = h / 4 + r * units + i;
          const reset = sigmoid(f32[x] + f32[s]);
          const update = sigmoid(f32[x + units] + f32[s + units]);
          const candidate = Math.tanh(f32[x + 2 * units] + reset * f32[s + 2 * units]);
          const hidden = candidate + update * (f32[place] - candidate);
          f32[place] = hidden;
        }
      }
    },

    squash(x, count) {
      const values = heap.floats(x, count);
      for (let i = 0; i < count; i++) values[i] = Math.tanh(values[i]);
    },

    addTo(x, y, count) {
      const { f32 } = heap;
      for (let i = 0; i < count; i++) f32[x / 4 + i] += f32[y / 4 + i];
    },

    additiveScores(keys, queries, energy, coverage, weights, scores, rows, steps, units) {
      const { f32 } = heap;
      for (let r = 0; r < rows; r++) {
        for (let s = 0; s < steps; s++) {
          const seen = coverage ? f32[coverage / 4 + r * steps + s] : 0;
          let score = 0;
          for (let i = 0; i < units; i++) {
            const extra = coverage ? seen * f32[weights / 4 + i] : 0;
            const hidden = f32[keys / 4 + s * units + i] + f32[queries / 4 + r * units + i] + extra;
            score += f32[energy / 4 + i] * Math.tanh(hidden);
          }
          f32[scores / 4 + r * steps + s] = score;
        }
      }
    },

    average(weights, values, y, rows, steps, units) {
      const { f32 } = heap;
      for (let r = 0; r < rows; r++) {
        const out = y / 4 + r * units;
        f32.fill(0, out, out + units);
        for (let s = 0; s < steps; s++) {
          const weight = f32[weights / 4 + r * steps + s];
          for (let i = 0; i < units; i++) f32[out + i] += weight * f32[values / 4 + s * units + i];
        }
      }
    },

    peakAndSum(x, out, rows, width, count) {
      const { f32 } = heap;
      for (let r = 0; r < rows; r++) {
        const row = f32.subarray(x / 4 + r * width, x / 4 + (r + 1) * width).fill(-Infinity, count);
        let peak = -Infinity;
        for (let i = 0; i < count; i++) peak = Math.max(peak, row[i]);
        let sum = 0;
        for (let i = 0; i < count; i++) sum += Math.exp(row[i] - peak);
        f32[out / 4 + 2 * r] = peak;
        f32[out / 4 + 2 * r + 1] = sum;
      }
    },

    best(x, totals, places, sums, rows, width, wanted) {
      const { f32, i32 } = heap;
      const first = sums / 4;
      const last = first + wanted - 1;
      f32.fill(-Infinity, first, last + 1);
      i32.fill(-1, places / 4, places / 4 + wanted);
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < width; i++) {
          const value = Math.fround(f32[x / 4 + r * width + i] + f32[totals / 4 + r]);
          if (!(value > f32[last])) continue;
          let at = wanted - 1;
          for (; at > 0 && value > f32[first + at - 1]; at--) {
            f32[first + at] = f32[first + at - 1];
            i32[places / 4 + at] = i32[places / 4 + at - 1];
          }
          f32[first + at] = value;
          i32[places / 4 + at] = r * width + i;
        }
      }
    },
  };
}
