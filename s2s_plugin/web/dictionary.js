/** Tokens and their ids, as in fairseq's dictionaries. */

export const BLANK = 0; // of CTC
export const PAD = 1;
export const EOS = 2;
export const UNK = 3;

/** @returns {Map<string, number>} the first id of each symbol */
export function idsOf(symbols) {
  const places = new Map();
  symbols.forEach((symbol, id) => {
    if (!places.has(symbol)) places.set(symbol, id);
  });
  return places;
}
