/** Text to tokens and back; see s2s_plugin/text: codec.py, escape.py, literals.py and repeats.py. */

import { normalize, SPACE, stripCaseAndPunctuation, trim, WHITE } from "./normalize.js";
import { Retrieval, RETRIEVED } from "./retrieval.js";
import { SentencePiece } from "./sentencepiece.js";

const UNKNOWN = "\u2047";
const MARK = "\ufdd3"; // the second character of text that looks like a token
const HIDDEN = { "\u2581": "\ufdd0", "\u2585": "\ufdd1" };
const REVEALED = { "\ufdd0": "\u2581", "\ufdd1": "\u2585", [MARK]: "" };
const TOKENS = "</?s>|<unk>|<pad>|<0x[0-9A-F]{2}>";
const RESERVED = /^(?:<\/?s>|<unk>|<pad>|<copy\d+>)$/;
const SLOT = /<copy\d+>/g;
const IS_SLOT = /^<copy\d+>$/;
const HIDDEN_SLOT = "\ufdd4";
const BYTES = /(?<![^ ])<0x[0-9A-F]{2}>(?: <0x[0-9A-F]{2}>)*(?![^ ])/g;

const [NEWLINE, TAB, ESCAPE] = ["\u21b5", "\u21e5", "\u241b"];
const SIGNS = NEWLINE + TAB + ESCAPE;
const BREAKS = new RegExp(`[\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029\\0${SIGNS}]`, "gu");
const SPECIAL = new RegExp(
  `(?! )[${WHITE}]|[\\0-\\x1f\\x7f-\\x9f\\u2581\\ud800-\\udfff${SIGNS}]`, "gu",
);
const ESCAPED = new RegExp(`${NEWLINE}|${TAB}|${ESCAPE}([0-9a-f]{1,6});`, "gu");

/** @returns {string} a text as one line */
export function toLine(text) {
  return text.replace(BREAKS, escapeOne);
}

/** @returns {string} a text without what is special to SentencePiece */
export function escape(text) {
  return text.replace(SPECIAL, escapeOne);
}

/** @returns {string} what `escape` and `toLine` were applied to */
export function unescape(text) {
  return text.replace(ESCAPED, (match, hex) => {
    if (match === NEWLINE) return "\n";
    if (match === TAB) return "\t";
    const number = parseInt(hex, 16);
    return number <= 0x10ffff ? String.fromCodePoint(number) : match;
  });
}

function escapeOne(character) {
  if (character === "\n") return NEWLINE;
  if (character === "\t") return TAB;
  return `${ESCAPE}${character.codePointAt(0).toString(16)};`;
}

function reveal(text) {
  return text.replace(/[\ufdd0\ufdd1\ufdd3]/g, (sign) => REVEALED[sign]);
}

/** The codec of one side. */
class TextCodec {
  /** @param {object} side of codec.json, with the SentencePiece model as `pieces` */
  constructor({ pieces, jamo, strip, lossless, tags }) {
    this.pieces = pieces;
    this.jamo = jamo;
    this.strip = strip;
    this.lossless = lossless;
    this.wholeWords = !pieces.has(SPACE);
    const patterns = pieces.pieces.some((piece) => piece.includes(MARK)) ? [TOKENS] : [];
    for (const tag of tags) patterns.push((tag === RETRIEVED ? "" : "(?<!^)") + tag.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    this.literals = patterns.length ? new RegExp(patterns.join("|"), "g") : null;
  }

  /** @returns {string[]} */
  encode(text, slots = new Map()) {
    if (this.lossless) return this.pieces.encode(this.#hide(escape(text)));
    return this.#split(text).map((piece) => {
      const slot = this.pieces.has(piece) ? undefined : slots.get(letters(piece));
      return slot ?? (RESERVED.test(piece) ? piece[0] + MARK + piece.slice(1) : piece);
    });
  }

  /** @returns {string} */
  decode(tokens) {
    if (this.lossless) {
      const spelled = tokens.join(" ").replace(BYTES, (match) => {
        const values = match.split(" ").map((byte) => parseInt(byte.slice(3, 5), 16));
        return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(values));
      });
      return unescape(reveal(spelled.replaceAll(" ", "").replaceAll(SPACE, " ")));
    }
    const isMarked = (piece) => piece.startsWith(SPACE) || piece.startsWith(this.pieces.pieces[this.pieces.unknown]);
    const marked = this.wholeWords ? tokens.map((piece) => (isMarked(piece) ? piece : SPACE + piece)) : tokens;
    const text = reveal(trim(this.pieces.decode(marked)));
    return this.jamo ? text.normalize("NFC") : text;
  }

  /** @returns {string[]} the letters of the pieces outside the vocabulary, once each */
  unknown(text) {
    return [...new Set(this.#split(text).filter((piece) => !this.pieces.has(piece)).map(letters))];
  }

  #split(text) {
    const line = normalize(this.strip ? stripCaseAndPunctuation(text) : text, this.jamo);
    const pieces = this.pieces.encode(this.#hide(line));
    return pieces.flatMap((piece) => piece.match(/\u2581?[^\u2581]+|\u2581/gu) ?? []);
  }

  #hide(text) {
    const hidden = text.replace(/[\u2581\u2585]/g, (sign) => HIDDEN[sign]);
    return this.literals ? hidden.replace(this.literals, (match) => match[0] + MARK + match.slice(1)) : hidden;
  }
}

function letters(piece) {
  return piece.startsWith(SPACE) ? piece.slice(1) : piece;
}

/** The codecs of a pair of source and target. */
export class Codec {
  /** @param {{models: object[], source: object, target: object, copy_slots: number, retrieval?: string[][]}} codec */
  constructor({ models, source, target, copy_slots: slots, retrieval }) {
    const pieces = models.map((model) => new SentencePiece(model));
    this.source = new TextCodec({ ...source, pieces: pieces[source.model] });
    this.target = new TextCodec({ ...target, pieces: pieces[target.model] });
    this.slotCount = slots;
    this.retrieval = retrieval ? new Retrieval(retrieval) : null;
  }

  /** @returns {string[]} tokens of a source */
  encode(text) {
    const tokens = this.source.encode(this.source.lossless ? unescape(text) : text, this.slots(text));
    if (!this.retrieval || tokens.length === 0) return tokens;
    const retrieved = this.retrieval.target(text);
    const before = this.target.encode(this.target.lossless ? unescape(retrieved) : retrieved, this.slots(text));
    return [...before, RETRIEVED, ...tokens];
  }

  /** @returns {string} a line, in which slots still stand for copied words, see `fill` */
  decode(tokens) {
    const names = tokens.filter((token) => token !== "<s>" && token !== "</s>");
    if (this.slotCount) {
      const pieces = names.map((token) =>
        IS_SLOT.test(token) ? HIDDEN_SLOT + token.slice(1, -1) + HIDDEN_SLOT : token,
      );
      const text = this.target.decode(pieces).replace(SLOT, (slot) => `<${MARK}${slot.slice(1)}`);
      return text.replace(/\ufdd4(.*?)\ufdd4/gu, "<$1>");
    }
    const text = this.target.decode(names);
    return this.target.lossless ? toLine(text) : text;
  }

  /** @returns {string} the text with the words of the source that its slots stand for */
  fill(text, source) {
    if (!this.slotCount) return text;
    const byWord = new Map([...this.slots(source)].map(([word, slot]) => [slot, word]));
    return reveal(text.replace(SLOT, (slot) => byWord.get(slot) ?? UNKNOWN));
  }

  /** @returns {Map<string, string>} the slots of the source words outside the vocabulary */
  slots(source) {
    if (!this.slotCount) return new Map();
    return new Map(this.source.unknown(source).slice(0, this.slotCount).map((word, i) => [word, `<copy${i}>`]));
  }
}

