// Keep the page at the state of the training: fetch it again and replace the parts that have changed.

const PAUSE = 3000; // milliseconds
const slider = /** @type {HTMLInputElement} */ (document.querySelector("#at"));
/** @type {Map<string, string>} the content of each part, as it was fetched */
const contents = new Map();

let asked = 0; // number of the last request: an earlier one may be answered later

/** Return whether the latest checkpoint is looked at. */
const atLatest = () => slider.value === slider.max;

/**
 * Replace the parts of the page that differ from those of a newer one.
 * @param {Document} page
 */
function update(page) {
  document.title = page.title;
  const follow = atLatest();
  slider.max = /** @type {HTMLInputElement} */ (page.querySelector("#at")).max;
  if (follow) slider.value = slider.max;
  for (const part of page.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    if (contents.get(name) === part.innerHTML) continue;
    contents.set(name, part.innerHTML);
    const shown = document.querySelector(`[data-part="${name}"]`);
    const open = [...shown.querySelectorAll("details")].map((each) => each.open);
    shown.replaceChildren(...part.childNodes);
    shown.querySelectorAll("details").forEach((each, index) => {
      each.open = open[index] ?? each.open;
    });
  }
}

/** Fetch the page; return whether there will be more to fetch. */
async function refresh() {
  const number = (asked += 1);
  const gone = /** @type {HTMLElement} */ (document.querySelector("#gone"));
  try {
    const answer = await fetch(atLatest() ? "/" : `/?at=${slider.value}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok && number === asked) update(page);
    gone.hidden = true;
    return !("ended" in page.body.dataset);
  } catch {
    gone.hidden = false; // perhaps for a while: a connection to another machine
    return true;
  }
}

async function follow() {
  if (document.hidden || (await refresh())) setTimeout(follow, PAUSE);
}

slider.addEventListener("input", refresh);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
follow();
