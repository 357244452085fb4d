/** SentencePiece models in the browser: unigram, bpe, char and word, with byte fallback and user-defined symbols. */

import { SPACE } from "./normalize.js";

const UNKNOWN_PENALTY = 10;
const USER_DEFINED_LOSS = 0.1;

/** Kinds of pieces, as SentencePiece numbers them. */
const [NORMAL, UNKNOWN, USER_DEFINED, UNUSED, BYTE] = [1, 2, 4, 5, 6];

const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text).length;

/** A trained model, which splits text into pieces. */
export class SentencePiece {
  /**
   * @param {object} model
   * @param {string} model.kind unigram, bpe, char or word
   * @param {string[]} model.pieces
   * @param {number[]} model.scores
   * @param {number[]} model.kinds
   * @param {boolean} model.prefix put a space before a text
   * @param {boolean} model.tidy join and drop extra spaces
   * @param {boolean} model.fallback spell unknown characters as bytes
   */
  constructor({ kind, pieces, scores, kinds, prefix, tidy, fallback }) {
    this.kind = kind;
    this.prefix = prefix;
    this.tidy = tidy;
    this.fallback = fallback;
    this.pieces = pieces;
    this.kinds = kinds;
    /** @type {Map<string, number>} what text may become */
    this.ids = new Map();
    /** @type {Map<string, number>} all pieces */
    this.all = new Map();
    pieces.forEach((piece, id) => {
      if ([NORMAL, USER_DEFINED, UNUSED].includes(kinds[id])) this.ids.set(piece, id);
      this.all.set(piece, id);
    });
    this.unknown = kinds.indexOf(UNKNOWN);
    const normal = scores.filter((_, id) => kinds[id] === NORMAL);
    const [least, most] = [Math.min(...normal), Math.max(...normal)];
    this.scores = scores.map((score, id) =>
      kinds[id] === USER_DEFINED ? Math.fround(bytes(pieces[id]) * most - USER_DEFINED_LOSS) : score,
    );
    this.unknownScore = Math.fround(least - UNKNOWN_PENALTY);
    this.userDefined = pieces.filter((_, id) => kinds[id] === USER_DEFINED).sort((a, b) => bytes(b) - bytes(a));
    this.longest = pieces.reduce((most, piece) => Math.max(most, piece.length), 1);
  }

  /** @returns {boolean} whether a piece is in the vocabulary, as anything but the unknown one */
  has(piece) {
    return (this.all.get(piece) ?? this.unknown) !== this.unknown;
  }

  /** @returns {string[]} the pieces of a text; of unknown characters in a row, the characters */
  encode(text) {
    const normalized = this.#normalize(text);
    const split = normalized && { unigram: viterbi, bpe: merge, char: characters, word: spacedWords }[this.kind];
    const pieces = [];
    let wasUnknown = false;
    for (const piece of split ? split(this, normalized) : []) {
      const isUnknown = !this.ids.has(piece);
      if (isUnknown && this.fallback) pieces.push(...spell(piece));
      else if (isUnknown && wasUnknown) pieces[pieces.length - 1] += piece;
      else pieces.push(piece);
      wasUnknown = isUnknown;
    }
    return pieces;
  }

  /** @returns {string} the text of pieces, spaces around it included */
  decode(pieces) {
    const unknown = this.pieces[this.unknown];
    const texts = pieces.map((piece) => (piece === unknown ? " \u2047 " : piece.replaceAll(SPACE, " ")));
    return texts.join("");
  }

  #normalize(text) {
    const tidied = this.tidy ? text.replace(/^ +| +$/g, "").replace(/ +/g, " ") : text;
    if (!tidied) return "";
    return (this.prefix ? SPACE : "") + tidied.replaceAll(" ", SPACE);
  }

  /** @returns {string} the longest user-defined symbol at a place of a text, or the character there */
  symbolAt(text, at) {
    return this.userDefined.find((symbol) => text.startsWith(symbol, at)) ?? characterAt(text, at);
  }
}

function characterAt(text, at) {
  return String.fromCodePoint(text.codePointAt(at));
}

function spell(piece) {
  return Array.from(encoder.encode(piece), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
}

/** The likeliest pieces (Kudo 2018, section 3.2), in the numbers of SentencePiece: sums in float32. */
function viterbi(model, text) {
  const ends = Array.from({ length: text.length + 1 }, () => ({ score: 0, start: -1 }));
  for (let start = 0; start < text.length; ) {
    const single = characterAt(text, start).length;
    const before = ends[start].score;
    const offer = (end, sum) => {
      const score = Math.fround(sum);
      if (ends[end].start === -1 || score > ends[end].score) ends[end] = { score, start };
    };
    let hasSingle = false;
    for (let end = start + 1; end <= Math.min(text.length, start + model.longest); end++) {
      const id = model.ids.get(text.slice(start, end));
      if (id === undefined || model.kinds[id] === UNUSED) continue;
      offer(end, model.scores[id] + before);
      hasSingle ||= end - start === single;
    }
    if (!hasSingle) offer(start + single, model.unknownScore + before);
    start += single;
  }
  const pieces = [];
  for (let end = text.length; end > 0; end = ends[end].start) pieces.unshift(text.slice(ends[end].start, end));
  return pieces;
}

/** Merge pairs of symbols, the best first and of equal ones the leftmost (Sennrich et al. 2016). */
function merge(model, text) {
  const symbols = characters(model, text).map((piece, i, all) => {
    return { piece, isFixed: model.userDefined.includes(piece), before: i - 1, after: i + 1 < all.length ? i + 1 : -1 };
  });
  const queue = [];
  const offer = (left, right) => {
    if (left < 0 || right < 0 || symbols[left].isFixed || symbols[right].isFixed) return;
    const piece = symbols[left].piece + symbols[right].piece;
    const id = model.ids.get(piece);
    if (id !== undefined) queue.push({ left, right, piece, score: model.scores[id], id });
  };
  for (let i = 1; i < symbols.length; i++) offer(i - 1, i);
  while (queue.length) {
    let best = 0;
    queue.forEach(({ score, left }, i) => {
      if (score > queue[best].score || (score === queue[best].score && left < queue[best].left)) best = i;
    });
    const [{ left, right, piece }] = queue.splice(best, 1);
    if (symbols[left].piece + symbols[right].piece !== piece || !symbols[left].piece || !symbols[right].piece) continue;
    symbols[left].piece = piece;
    symbols[left].after = symbols[right].after;
    if (symbols[right].after >= 0) symbols[symbols[right].after].before = left;
    symbols[right].piece = "";
    offer(symbols[left].before, left);
    offer(left, symbols[left].after);
  }
  return symbols.map(({ piece }) => piece).filter(Boolean);
}

function characters(model, text) {
  const pieces = [];
  for (let at = 0; at < text.length; at += pieces[pieces.length - 1].length) pieces.push(model.symbolAt(text, at));
  return pieces;
}

function spacedWords(model, text) {
  return text.match(new RegExp(`${SPACE}?[^${SPACE}]+|${SPACE}`, "gu")) ?? [];
}
