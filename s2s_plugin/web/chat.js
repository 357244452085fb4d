/** A conversation with a chatbot, see s2s_plugin/inference/chat.py. */

import { matchKey } from "./text/normalize.js";
import { TURN } from "./text/retrieval.js";

/** Answers turn by turn and remembers the conversation. */
export class Chatbot {
  /** @param {import("./model.js").Model} model of a chatbot */
  constructor(model) {
    this.model = model;
    this.options = model.chat;
    this.turns = [];
  }

  /** @returns {{text: string, confidence: number, sure: boolean}} the reply, or the fallback, which is not remembered */
  reply(turn) {
    const { candidates, threshold, fallback, history } = this.options;
    const turns = [...this.turns, turn].slice(-history);
    const source = turns.map((each) => each.replaceAll(TURN, "<turn >")).join(` ${TURN} `);
    const beam = Math.max(candidates, this.model.options.beam);
    const [outputs] = this.model.outputs([source], { options: { beam }, nbest: candidates });
    const best = outputs.reduce((most, each) => (this.#value(each) > this.#value(most) ? each : most));
    if (!best.text || best.confidence < threshold) return { text: fallback, confidence: best.confidence, sure: false };
    this.turns = [...turns, best.text];
    return { text: best.text, confidence: best.confidence, sure: true };
  }

  #value({ text, score }) {
    const { frequency, generic_penalty: penalty } = this.options;
    const key = matchKey(text);
    return score - penalty * Math.log1p(Object.hasOwn(frequency, key) ? frequency[key] : 0);
  }
}
