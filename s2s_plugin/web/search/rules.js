/** Hard constraints on the next token, see s2s_plugin/search/rules.py. */

import { EOS, PAD, UNK } from "../dictionary.js";

/** Lengths, a prefix, penalties and n-gram blocking of a sentence. */
export class LogitsConstraints {
  /**
   * @param {import("./beam.js").Options} options
   * @param {{maxLen: number, minLen: number, prefix: number[]}} limits maxLen without </s>; prefix: ids that every
   *   hypothesis begins with
   */
  constructor(options, { maxLen, minLen, prefix }) {
    this.options = options;
    this.maxLen = maxLen;
    this.minLen = minLen;
    this.prefix = prefix;
  }

  /** Change the logits of the next tokens: minus infinity forbids one. */
  process({ heap, logits, width, normalizers }, hypotheses) {
    const { options, prefix } = this;
    const step = hypotheses[0].tokens.length;
    const isFree = step < this.maxLen;
    const isForced = isFree && step < prefix.length;
    hypotheses.forEach(({ tokens }, r) => {
      const row = heap.floats(logits + 4 * r * width, width);
      row[PAD] = -Infinity;
      row[UNK] -= options.unkpen;
      if (options.repetition_penalty !== 1) {
        for (const token of new Set(tokens)) {
          row[token] = (row[token] - normalizers[r]) * options.repetition_penalty + normalizers[r];
        }
      }
      if (!isFree) only(row, EOS);
      else if (isForced) only(row, prefix[step]);
      else if (step < this.minLen) row[EOS] = -Infinity;
      if (!isForced) blockNgrams(row, tokens, options.no_repeat_ngram_size);
    });
  }
}

function only(row, token) {
  const kept = row[token];
  row.fill(-Infinity);
  row[token] = kept;
}

/** Forbid the tokens that would repeat an n-gram of `size`. */
function blockNgrams(row, tokens, size) {
  if (size <= 0 || tokens.length < size) return;
  const tail = tokens.slice(tokens.length - size + 1).join();
  for (let at = 0; at + size <= tokens.length; at++) {
    if (tokens.slice(at, at + size - 1).join() === tail) row[tokens[at + size - 1]] = -Infinity;
  }
}
