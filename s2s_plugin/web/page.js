/** The page of an exported model: the explorer, with the model in a worker in place of a server. */

import { start } from "../server/page/app.js";
import { readMedia } from "./media.js";

/** A model in a worker as a backend of the explorer, see s2s_plugin/server/page/types.js. */
class WorkerBackend {
  constructor(worker) {
    this.worker = worker;
    this.waiting = new Map();
    worker.addEventListener("message", ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    });
    worker.addEventListener("error", ({ message }) => {
      for (const { reject } of this.waiting.values()) reject(new Error(message));
    });
  }

  ask(method, ...values) {
    const id = crypto.getRandomValues(new Uint32Array(1))[0];
    this.worker.postMessage({ id, method, values });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async about() {
    this.model ??= this.ask("open", textOf("model"), textOf("kernel"));
    return [await this.model];
  }

  async explore({ input, file, options, prefix }) {
    return this.ask("explore", { input: await this.#read(file ?? input), options, prefix });
  }

  /** @returns {Promise<string[]>} the best output of each text, recording or picture (a File) */
  async translate(inputs, options = {}) {
    return this.ask("translate", await Promise.all(inputs.map((input) => this.#read(input))), options);
  }

  async chat() {
    await this.ask("begin");
    return { say: (turn) => this.ask("say", turn), close: () => {} };
  }

  async #read(input) {
    const [{ modality }] = await this.about();
    if (modality === "text") return input;
    return readMedia(input, modality);
  }
}

function textOf(id) {
  return document.getElementById(id).textContent.trim();
}

const code = new Blob([textOf("worker")], { type: "text/javascript" });
const backend = new WorkerBackend(new Worker(URL.createObjectURL(code)));
globalThis.s2s = backend; // for scripts and the console: await s2s.translate(["..."])
start(document.getElementById("explorer"), backend);
