import { start } from "./app.js";
import { ServerBackend } from "./backend.js";

start(document.getElementById("explorer"), new ServerBackend());
