// Keep the page at the state of the training: fetch it again and replace the parts that have changed.

const PAUSE = 3000; // milliseconds
const slider = /** @type {HTMLInputElement} */ (document.querySelector("#at"));
/** @type {Map<string, string>} the content of each part, as it was fetched */
const contents = new Map();

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
  try {
    const answer = await fetch(atLatest() ? "/" : `/?at=${slider.value}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok) update(page);
    return !("ended" in page.body.dataset);
  } catch {
    document.querySelector("#gone").hidden = false;
    return false;
  }
}

async function follow() {
  if (document.hidden || (await refresh())) setTimeout(follow, PAUSE);
}

slider.addEventListener("input", refresh);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
follow();
