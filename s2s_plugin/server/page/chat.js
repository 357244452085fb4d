/** A conversation with a chatbot. */

import { html, percent } from "./dom.js";

/**
 * Draw a conversation.
 * @param {() => Promise<import('./types.js').Conversation>} open
 */
export function drawChat(open) {
  const log = html("ol", { class: "log", role: "log", "aria-label": "Conversation" });
  const turn = html("input", { type: "text", name: "turn", "aria-label": "Your turn", placeholder: "Say something", autocomplete: "off", required: true });
  const send = html("button", { type: "submit" }, "Send");
  const say = (kind, text, note = "") => {
    const item = html("li", { class: kind }, html("span", { class: "hidden" }, kind === "you" ? "You: " : "Bot: "), text, note && html("small", {}, note));
    log.append(item);
    item.scrollIntoView({ block: "nearest" });
  };
  let conversation = null;
  const restart = html("button", { type: "button", class: "plain" }, "Begin again");
  restart.addEventListener("click", () => {
    conversation?.close();
    conversation = null;
    log.replaceChildren();
    turn.focus();
  });
  const form = html("form", { class: "turn" }, turn, send, restart);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = turn.value.trim();
    if (!text || send.disabled) return;
    say("you", text);
    turn.value = "";
    send.disabled = true;
    try {
      conversation ??= await open();
      const reply = await conversation.say(text);
      say(reply.sure ? "bot" : "bot unsure", reply.text, reply.sure ? percent(reply.confidence) : `withheld, ${percent(reply.confidence)}`);
    } catch (error) {
      conversation = null;
      say("problem", error.message);
    }
    send.disabled = false;
    turn.focus();
  });
  return html("section", { class: "chat", "aria-label": "Conversation" }, log, form);
}
