// The inner loops of a model in a web page, for WebAssembly with 128-bit vectors; kernel.js has the same in JavaScript.
// kernel.wasm is made of it by `make web-kernel`, with Debian's clang and lld.
//
// All matrices are dense and row-major. Numbers of inputs and units are multiples of 8: model.js pads what is not.

#include <stdint.h>
#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(#name))) void name

typedef v128_t vec;

static inline vec load(const float *p) { return wasm_v128_load(p); }
static inline void store(float *p, vec x) { wasm_v128_store(p, x); }
static inline vec add(vec a, vec b) { return wasm_f32x4_add(a, b); }
static inline vec mul(vec a, vec b) { return wasm_f32x4_mul(a, b); }
static inline vec all(float x) { return wasm_f32x4_splat(x); }

static inline float reduce(vec x) {
  return (wasm_f32x4_extract_lane(x, 0) + wasm_f32x4_extract_lane(x, 1)) +
         (wasm_f32x4_extract_lane(x, 2) + wasm_f32x4_extract_lane(x, 3));
}

static inline float largest(vec x) {
  float a = wasm_f32x4_extract_lane(x, 0), b = wasm_f32x4_extract_lane(x, 1);
  float c = wasm_f32x4_extract_lane(x, 2), d = wasm_f32x4_extract_lane(x, 3);
  a = a > b ? a : b;
  c = c > d ? c : d;
  return a > c ? a : c;
}

// e^x within 2 units in the last place, by 2^n e^r with |r| <= ln(2) / 2 (the polynomial of the Cephes library).
static inline vec exponential(vec x) {
  x = wasm_f32x4_pmin(wasm_f32x4_pmax(x, all(-87.0f)), all(88.0f));
  vec n = wasm_f32x4_nearest(mul(x, all(1.44269504f)));
  vec r = wasm_f32x4_sub(wasm_f32x4_sub(x, mul(n, all(0.693359375f))), mul(n, all(-2.12194440e-4f)));
  vec p = all(1.9875691500e-4f);
  p = add(mul(p, r), all(1.3981999507e-3f));
  p = add(mul(p, r), all(8.3334519073e-3f));
  p = add(mul(p, r), all(4.1665795894e-2f));
  p = add(mul(p, r), all(1.6666665459e-1f));
  p = add(mul(p, r), all(5.0000001201e-1f));
  p = add(add(mul(mul(p, r), r), r), all(1.0f));
  vec power = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(n), wasm_i32x4_splat(127)), 23);
  return mul(p, power);
}

static inline vec sigmoid(vec x) {
  return wasm_f32x4_div(all(1.0f), add(all(1.0f), exponential(wasm_f32x4_neg(x))));
}

static inline vec hyperbolic(vec x) { return wasm_f32x4_sub(mul(sigmoid(add(x, x)), all(2.0f)), all(1.0f)); }

// y = W x + b for rows of x: rows x inputs, W: outputs x inputs, b: outputs or 0, y: rows x outputs.
EXPORT(product)(const float *x, const float *w, const float *b, float *y, int rows, int outputs, int inputs) {
  for (int o = 0; o < outputs; o++) {
    const float *row = w + (int)o * inputs;
    float bias = b ? b[o] : 0;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      const float *x0 = x + (int)r * inputs, *x1 = x0 + inputs, *x2 = x1 + inputs, *x3 = x2 + inputs;
      vec s0 = all(0), s1 = all(0), s2 = all(0), s3 = all(0);
      for (int i = 0; i < inputs; i += 4) {
        vec v = load(row + i);
        s0 = add(s0, mul(v, load(x0 + i)));
        s1 = add(s1, mul(v, load(x1 + i)));
        s2 = add(s2, mul(v, load(x2 + i)));
        s3 = add(s3, mul(v, load(x3 + i)));
      }
      float *out = y + (int)r * outputs + o;
      out[0] = reduce(s0) + bias;
      out[outputs] = reduce(s1) + bias;
      out[2 * outputs] = reduce(s2) + bias;
      out[3 * outputs] = reduce(s3) + bias;
    }
    for (; r < rows; r++) {
      const float *x0 = x + (int)r * inputs;
      vec s0 = all(0), s1 = all(0);
      for (int i = 0; i < inputs; i += 8) {
        s0 = add(s0, mul(load(row + i), load(x0 + i)));
        s1 = add(s1, mul(load(row + i + 4), load(x0 + i + 4)));
      }
      y[(int)r * outputs + o] = reduce(add(s0, s1)) + bias;
    }
  }
}

// Inputs of productInt8: whole numbers in [-127, 127] and their scales. A row's scale is its largest absolute value / 127;
// of bounded rows, which lie in [-1, 1], it is 1 / 127. Halves are rounded up, as by Int8Linear in Python.
EXPORT(quantize)(const float *x, int16_t *q, float *scales, int rows, int inputs, int bounded) {
  for (int r = 0; r < rows; r++, x += inputs, q += inputs) {
    float scale = 1.0f / 127;
    if (!bounded) {
      vec top = all(0);
      for (int i = 0; i < inputs; i += 4) top = wasm_f32x4_pmax(top, wasm_f32x4_abs(load(x + i)));
      scale = largest(top) * (1.0f / 127);
      scale = scale < 1.17549435e-38f ? 1.17549435e-38f : scale;
    }
    scales[r] = scale;
    for (int i = 0; i < inputs; i += 8) {
      vec low = load(x + i), high = load(x + i + 4);
      if (bounded) {
        low = mul(low, all(127));
        high = mul(high, all(127));
      } else {
        low = wasm_f32x4_div(low, all(scale));
        high = wasm_f32x4_div(high, all(scale));
      }
      low = wasm_i32x4_trunc_sat_f32x4(add(low, all(128.5f)));
      high = wasm_i32x4_trunc_sat_f32x4(add(high, all(128.5f)));
      vec both = wasm_i16x8_sub(wasm_i16x8_narrow_i32x4(low, high), wasm_i16x8_splat(128));
      wasm_v128_store(q + i, both);
    }
  }
}

// The four sums of four vectors, as one vector.
static inline vec totals(vec a, vec b, vec c, vec d) {
  vec ab = wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
  vec cd = wasm_i32x4_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
  return wasm_i32x4_add(wasm_i64x2_shuffle(ab, cd, 0, 2), wasm_i64x2_shuffle(ab, cd, 1, 3));
}

#define DOT(s, v, p) s = wasm_i32x4_add(s, wasm_i32x4_dot_i16x8(v, wasm_v128_load(p)))

// y = s_x s_w (W q) + b with a scale for each row of q and of W; sums are exact. Outputs are a multiple of 4.
EXPORT(productInt8)(const int16_t *q, const float *scales, const int8_t *w, const float *wScales, const float *b,
                    float *y, int rows, int outputs, int inputs) {
  for (int o = 0; o < outputs; o += 4) {
    const int8_t *w0 = w + (int)o * inputs, *w1 = w0 + inputs, *w2 = w1 + inputs, *w3 = w2 + inputs;
    vec scale = load(wScales + o), bias = b ? load(b + o) : all(0);
    int r = 0;
    for (; r + 2 <= rows; r += 2) {
      const int16_t *q0 = q + (int)r * inputs, *q1 = q0 + inputs;
      vec a0 = all(0), a1 = all(0), a2 = all(0), a3 = all(0), b0 = all(0), b1 = all(0), b2 = all(0), b3 = all(0);
      for (int i = 0; i < inputs; i += 8) {
        vec v0 = wasm_i16x8_load8x8(w0 + i), v1 = wasm_i16x8_load8x8(w1 + i);
        vec v2 = wasm_i16x8_load8x8(w2 + i), v3 = wasm_i16x8_load8x8(w3 + i);
        DOT(a0, v0, q0 + i);
        DOT(a1, v1, q0 + i);
        DOT(a2, v2, q0 + i);
        DOT(a3, v3, q0 + i);
        DOT(b0, v0, q1 + i);
        DOT(b1, v1, q1 + i);
        DOT(b2, v2, q1 + i);
        DOT(b3, v3, q1 + i);
      }
      vec first = wasm_f32x4_convert_i32x4(totals(a0, a1, a2, a3));
      vec second = wasm_f32x4_convert_i32x4(totals(b0, b1, b2, b3));
      store(y + (int)r * outputs + o, add(mul(mul(first, scale), all(scales[r])), bias));
      store(y + (int)(r + 1) * outputs + o, add(mul(mul(second, scale), all(scales[r + 1])), bias));
    }
    if (r < rows) {
      const int16_t *q0 = q + (int)r * inputs;
      vec a0 = all(0), a1 = all(0), a2 = all(0), a3 = all(0);
      for (int i = 0; i < inputs; i += 8) {
        DOT(a0, wasm_i16x8_load8x8(w0 + i), q0 + i);
        DOT(a1, wasm_i16x8_load8x8(w1 + i), q0 + i);
        DOT(a2, wasm_i16x8_load8x8(w2 + i), q0 + i);
        DOT(a3, wasm_i16x8_load8x8(w3 + i), q0 + i);
      }
      vec first = wasm_f32x4_convert_i32x4(totals(a0, a1, a2, a3));
      store(y + (int)r * outputs + o, add(mul(mul(first, scale), all(scales[r])), bias));
    }
  }
}

// One step of LSTM cells from the pre-activations i, f, g, o of each row; h and c: rows x units, c is read and written.
EXPORT(lstm)(const float *gates, float *h, float *c, int rows, int units) {
  for (int r = 0; r < rows; r++, gates += 4 * units, h += units, c += units) {
    for (int i = 0; i < units; i += 4) {
      vec in = sigmoid(load(gates + i)), forget = sigmoid(load(gates + units + i));
      vec new = hyperbolic(load(gates + 2 * units + i)), out = sigmoid(load(gates + 3 * units + i));
      vec cell = add(mul(forget, load(c + i)), mul(in, new));
      vec hidden = mul(out, hyperbolic(cell));
      store(h + i, hidden);
      store(c + i, cell);
    }
  }
}

// One step of gated recurrent units from the pre-activations r, z, n of the inputs and of the states; h is read and written.
EXPORT(gru)(const float *inputs, const float *states, float *h, int rows, int units) {
  for (int r = 0; r < rows; r++, inputs += 3 * units, states += 3 * units, h += units) {
    for (int i = 0; i < units; i += 4) {
      vec reset = sigmoid(add(load(inputs + i), load(states + i)));
      vec update = sigmoid(add(load(inputs + units + i), load(states + units + i)));
      vec new = hyperbolic(add(load(inputs + 2 * units + i), mul(reset, load(states + 2 * units + i))));
      vec hidden = add(new, mul(update, wasm_f32x4_sub(load(h + i), new)));
      store(h + i, hidden);
    }
  }
}

EXPORT(squash)(float *x, int count) {
  for (int i = 0; i < count; i += 4) store(x + i, hyperbolic(load(x + i)));
}

EXPORT(addTo)(float *x, const float *y, int count) {
  for (int i = 0; i < count; i += 4) store(x + i, add(load(x + i), load(y + i)));
}

// scores: rows x steps, sums over units of energy * tanh(key of the step + query of the row + coverage * its weights);
// coverage: rows x steps, or 0.
EXPORT(additiveScores)(const float *keys, const float *queries, const float *energy, const float *coverage,
                       const float *weights, float *scores, int rows, int steps, int units) {
  for (int r = 0; r < rows; r++) {
    const float *query = queries + (int)r * units;
    for (int s = 0; s < steps; s++) {
      const float *key = keys + (int)s * units;
      vec score = all(0), seen = all(coverage ? coverage[r * steps + s] : 0);
      for (int i = 0; i < units; i += 4) {
        vec hidden = add(load(key + i), load(query + i));
        if (coverage) hidden = add(hidden, mul(seen, load(weights + i)));
        score = add(score, mul(load(energy + i), hyperbolic(hidden)));
      }
      scores[r * steps + s] = reduce(score);
    }
  }
}

// y: rows x units, the sums of values (steps x units) weighted by weights (rows x steps).
EXPORT(average)(const float *weights, const float *values, float *y, int rows, int steps, int units) {
  for (int r = 0; r < rows; r++, weights += steps, y += units) {
    for (int i = 0; i < units; i += 8) {
      vec low = all(0), high = all(0);
      for (int s = 0; s < steps; s++) {
        vec weight = all(weights[s]);
        low = add(low, mul(weight, load(values + (int)s * units + i)));
        high = add(high, mul(weight, load(values + (int)s * units + i + 4)));
      }
      store(y + i, low);
      store(y + i + 4, high);
    }
  }
}

// out: rows x 2, the largest number x of each row, and the sum of e^(others - x) with its own; of the first `count` of the
// `width` numbers of a row: the others, which fill it up to a multiple of 4, become minus infinity.
EXPORT(peakAndSum)(float *x, float *out, int rows, int width, int count) {
  for (int r = 0; r < rows; r++, x += width) {
    for (int i = count; i < width; i++) x[i] = -__builtin_inff();
    vec top = load(x);
    for (int i = 4; i < width; i += 4) top = wasm_f32x4_pmax(top, load(x + i));
    float peak = largest(top);
    vec parts = all(0);
    for (int i = 0; i < width; i += 4) parts = add(parts, exponential(wasm_f32x4_sub(load(x + i), all(peak))));
    out[2 * r] = peak;
    out[2 * r + 1] = reduce(parts);
  }
}

// Positions in x, rows x width, of the `wanted` highest x + totals of their row, best first, and these sums; -1 and
// minus infinity where there are no more. Of equal ones the first is better.
EXPORT(best)(const float *x, const float *totals, int32_t *places, float *sums, int rows, int width, int wanted) {
  for (int i = 0; i < wanted; i++) places[i] = -1, sums[i] = -__builtin_inff();
  for (int r = 0; r < rows; r++) {
    const float *row = x + (int)r * width;
    float base = totals[r];
    for (int i = 0; i < width; i += 4) {
      vec candidates = add(load(row + i), all(base));
      if (!wasm_v128_any_true(wasm_f32x4_gt(candidates, all(sums[wanted - 1])))) continue;
      for (int lane = i; lane < i + 4; lane++) {
        float value = row[lane] + base;
        if (!(value > sums[wanted - 1])) continue;
        int at = wanted - 1;
        for (; at > 0 && value > sums[at - 1]; at--) places[at] = places[at - 1], sums[at] = sums[at - 1];
        places[at] = r * width + lane, sums[at] = value;
      }
    }
  }
}
