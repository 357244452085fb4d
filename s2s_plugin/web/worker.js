/** The model in a thread of its own, so that the page stays responsive. Messages: {id, method, values}, answers {id, ...}. */

import { Chatbot } from "./chat.js";
import { explore } from "./explore.js";
import { Model } from "./model.js";

let model = null;
let chatbot = null;

const methods = {
  /** @returns {Promise<object>} what is known of the model */
  async open(content, kernel) {
    model = new Model(await inflate(decode(content)), decode(kernel));
    return model.about;
  },

  explore: (request) => explore(model, request),

  /** @returns {string[]} the best output of each input */
  translate: (inputs, options) => model.outputs(inputs, { options }).map(([output]) => output.text),

  begin: () => void (chatbot = new Chatbot(model)),

  say: (turn) => chatbot.reply(turn),
};

self.addEventListener("message", async ({ data: { id, method, values } }) => {
  try {
    self.postMessage({ id, result: await methods[method](...values) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
});

/** @returns {Uint8Array} the bytes of a text in base64 */
function decode(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
