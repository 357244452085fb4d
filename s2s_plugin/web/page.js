/** The page of an exported model: the explorer, with the model in a worker in place of a server. */

import { start } from "../server/page/app.js";

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

  explore({ input, options, prefix }) {
    return this.ask("explore", { input, options, prefix });
  }

  async translate(texts, options = {}) {
    await this.about();
    return this.ask("translate", texts, options);
  }

  async chat() {
    await this.ask("begin");
    return { say: (turn) => this.ask("say", turn), close: () => {} };
  }
}

function textOf(id) {
  return document.getElementById(id).textContent.trim();
}

const code = new Blob([textOf("worker")], { type: "text/javascript" });
const backend = new WorkerBackend(new Worker(URL.createObjectURL(code)));
globalThis.s2s = backend; // for scripts and the console: await s2s.translate(["..."])
start(document.getElementById("explorer"), backend);
