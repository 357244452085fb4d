/** Normalization of text: for the model and for finding equal texts; see s2s_plugin/text/normalize.py and characters.py. */

/** SentencePiece's mark of a space. */
export const SPACE = "\u2581";

/** White space as Python's str.split has it. */
export const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const SPACES = new RegExp(`[${WHITE}]+`, "u");
const ZERO_WIDTH_SPACE = "\u200b";
const UNSPACED =
  "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1bbf\ua980-\ua9ff\uaa60-\uaadf]";
const NOT_WHITE = `[^${WHITE}]`;
const NEXT_TO_UNSPACED = new RegExp(`^(?:${UNSPACED}${NOT_WHITE}|${NOT_WHITE}${UNSPACED})$`, "u");
const PLANES = Array.from({ length: 17 }, (_, plane) => `\\u{${(plane * 0x10000 + 0xfffe).toString(16)}}-\\u{${(
  plane * 0x10000 + 0xffff
).toString(16)}}`).join("");
const MEANINGLESS = new RegExp(
  "[\\0-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\\u00ad\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2060\\u2066-\\u206f\\ufeff" +
    `\\ud800-\\udfff\\ufdd0-\\ufdef${PLANES}]`,
  "gu",
);
const TAG = /(<[^<>\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+>)/u;
const LETTER = /[\p{L}\p{M}\p{N}\p{Co}\p{Cn}]/u;
const KEPT = /[\p{L}\p{M}\p{N}\p{Co}\p{Cn}\p{Cf}]/u;
const ALPHABETIC = /\p{L}/u;
const ASCII = /^[\0-\x7f]*$/;
const OTHERS = /[^a-z0-9]+/g;
const APOSTROPHES = "'\u2019";

/** @returns {string[]} the parts of a text between white space */
export function words(text) {
  return text.split(SPACES).filter(Boolean);
}

/** @returns {string} the text in NFC (NFD with jamo) with single spaces, without characters that mean nothing */
export function normalize(text, jamo = false) {
  return words(dropMeaningless(text.normalize("NFC"))).join(" ").normalize(jamo ? "NFD" : "NFC");
}

function dropMeaningless(text) {
  const kept = text.replace(MEANINGLESS, "");
  const [first, ...parts] = kept.split(/\u200b+/u);
  return parts.reduce((joined, part) => {
    const between = [...joined.slice(-2)].slice(-1).join("") + [...part.slice(0, 2)].slice(0, 1).join("");
    return joined + (NEXT_TO_UNSPACED.test(between) ? ZERO_WIDTH_SPACE : "") + part;
  }, first);
}

/** @returns {string} the text in lower case without punctuation; a part between tags that is all punctuation is kept */
export function stripCaseAndPunctuation(text) {
  return text
    .split(TAG)
    .map((part, i) => (i % 2 ? part : stripPart(part) || trim(part)))
    .filter(Boolean)
    .join(" ");
}

function stripPart(text) {
  const characters = [...text];
  const kept = characters.map((character, i) => {
    const isInside = APOSTROPHES.includes(character) && ALPHABETIC.test(characters[i - 1] ?? " ") &&
      ALPHABETIC.test(characters[i + 1] ?? " ");
    if (isInside) return "'";
    return KEPT.test(character) ? character.toLowerCase() : " ";
  });
  return words(kept.join("")).join(" ");
}

/** @returns {string} the text without white space around it, as Python's str.strip */
export function trim(text) {
  return text.replace(new RegExp(`^[${WHITE}]+|[${WHITE}]+$`, "gu"), "");
}

/** @returns {string} what two equal lines share: letters, vowel signs and digits, without case */
export function matchKey(text) {
  const folded = ASCII.test(text) ? text.toLowerCase() : Array.from(text, casefold).join("");
  if (ASCII.test(folded)) return words(folded.replace(OTHERS, " ")).join(" ") || words(folded).join(" "); // faster
  const kept = Array.from(folded, (character) => (LETTER.test(character) ? character : " ")).join("");
  return words(kept).join(" ") || words(folded).join(" ");
}

/** @returns {string} a character as Python's str.casefold has it, save for Cherokee */
function casefold(character) {
  return character === "\u0131" ? character : character.toLowerCase().toUpperCase().toLowerCase();
}
