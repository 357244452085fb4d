/** The server as a backend of the page, see types.js. */

const KEY = "s2s key"; // in the storage of the tab

export class ServerBackend {
  /** @returns {Promise<import('./types.js').About[]>} */
  about() {
    return this.#ask("v1/models");
  }

  /** @returns {Promise<import('./types.js').Exploration>} */
  explore({ model, input, file, options, prefix }) {
    const path = `v1/models/${encodeURIComponent(model)}/explore`;
    if (file === undefined) return this.#ask(path, { input, prefix, ...options });
    const query = new URLSearchParams(options);
    prefix.forEach((token) => query.append("prefix", token));
    const form = new FormData();
    form.append("file", file, file.name ?? "upload");
    return this.#ask(`${path}/file?${query}`, form);
  }

  /** @returns {Promise<import('./types.js').Neighbor[]>} */
  neighbors(model, input) {
    return this.#ask(`v1/models/${encodeURIComponent(model)}/neighbors`, { input });
  }

  /** @returns {Promise<import('./types.js').Conversation>} */
  chat(model) {
    const address = new URL(`v1/models/${encodeURIComponent(model)}/chat`, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const key = sessionStorage.getItem(KEY);
    const socket = new WebSocket(address, key === null ? ["s2s"] : ["s2s", `key.${hex(key)}`]);
    let waiting = null; // for the next answer
    socket.addEventListener("message", (event) => waiting?.answer(JSON.parse(event.data)));
    return new Promise((resolve, reject) => {
      socket.addEventListener("open", () => resolve({
        say: (turn) => new Promise((answer, fail) => {
          waiting = { answer, fail };
          socket.send(turn);
        }),
        close: () => socket.close(),
      }));
      socket.addEventListener("close", (event) => {
        const error = new Error(event.reason || "the conversation has ended");
        waiting?.fail(error);
        reject(error);
      });
    });
  }

  /** Keep the key that the server requires, until the tab is closed. */
  useKey(key) {
    sessionStorage.setItem(KEY, key);
  }

  async #ask(path, body) {
    const headers = {};
    const key = sessionStorage.getItem(KEY);
    if (key !== null) headers.authorization = `Bearer ${inUtf8(key)}`;
    if (body !== undefined && !(body instanceof FormData)) headers["content-type"] = "application/json";
    const content = body === undefined || body instanceof FormData ? body : JSON.stringify(body);
    let response;
    try {
      response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: content });
    } catch {
      throw new Error("The server does not answer.");
    }
    if (response.status === 401) throw new KeyNeeded();
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(problem(answer.detail) ?? `The server answers ${response.status}.`);
    return answer;
  }
}

/** The server requires a key, see useKey(). */
export class KeyNeeded extends Error {
  name = "KeyNeeded";
  message = "The server requires a key: load the page again.";
}

function problem(detail) {
  if (Array.isArray(detail)) return detail.map((each) => `${each.loc?.at(-1)}: ${each.msg}`).join("; ");
  return detail;
}

/** Return a text as a header can have it: a letter for each byte of its UTF-8. */
function inUtf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

function hex(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
