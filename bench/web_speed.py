"""The page that needs no server: size, speed and outputs, next to Python in one thread.

    python bench/web_speed.py runs/nmt/default

Exports the run in int8, as a file and as a page, and decodes 500 sentences of the test set with both in turn, three
times, with the run's search and greedily: in Python (task.search_precision=int8, one thread), and in the page, opened
from the disk in headless Chromium. Times are the least of the three, by the clock; "one by one" is 50 of the sentences
without batches. Needs playwright and a Chromium, which CHROMIUM names if it is not /usr/bin/chromium. Results go to
``bench/results/web_speed.json`` and ``.md``.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import call, machine, parser, table, write_result
from playwright.sync_api import Page, sync_playwright

import s2s_plugin
from s2s_plugin.inference.run_dir import RunDir

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SENTENCES, ONE_BY_ONE, ROUNDS = 500, 50, 3
SEARCHES: dict[str, dict[str, Any]] = {"the run's search": {}, "beam=1": {"beam": 1}}
LONGEST = 30 * 60 * 1000  # milliseconds
TRANSLATE = """async ([texts, options]) => {
  const start = performance.now();
  const outputs = await s2s.translate(texts, options);
  return { outputs, seconds: (performance.now() - start) / 1000 };
}"""
ONE_EACH = """async ([texts, options]) => {
  const start = performance.now();
  for (const text of texts) await s2s.translate([text], options);
  return (performance.now() - start) / 1000;
}"""


def main() -> None:
    """Measure a run and write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("run", type=Path)
    run = arguments.parse_args().run.resolve()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        package, page = Path(folder) / "model.s2s", Path(folder) / "model.html"
        call(f"s2s export {run} --to {package} --precision int8")
        call(f"s2s export {package} --web {page}")
        model = s2s_plugin.load(package, precision="int8")
        texts = (RunDir(run).data / "text" / f"test.{model.source_lang}").read_text(encoding="utf-8").splitlines()
        record = measure(model, page, texts[:SENTENCES])
        record = {"run": f"{model.app}, {model.source_lang} to {model.target_lang}", "machine": machine()} | record
        record |= {"package_bytes": package.stat().st_size, "page_bytes": page.stat().st_size}
    rows = []
    for name, each in record["searches"].items():
        speeds = [each["python"], each["page"]]
        rows += [
            {"search": name, "in": place} | speed for place, speed in zip(("Python", "the page"), speeds, strict=True)
        ]
        ratios = {column: round(speeds[1][column] / speeds[0][column], 2) for column in speeds[0]}
        rows.append({"search": name, "in": "page / Python"} | ratios)
    same = record["searches"][next(iter(SEARCHES))]["same"]
    summary = (
        f"{record['run']}: the page has {record['page_bytes'] / 1e6:.2f} MB, the file "
        f"{record['package_bytes'] / 1e6:.2f} MB. First output {record['first_output_seconds']:.2f} s after the page "
        f"is opened. {same} of {record['sentences']} outputs are those of Python."
    )
    setting = f"{record['machine']}; {record['browser']}"
    write_result("web_speed", record, ["# The page that needs no server", setting, summary, table(rows)])
    print(summary, table(rows), sep="\n\n")


def measure(model: s2s_plugin.Model, path: Path, texts: list[str]) -> dict[str, Any]:
    """Return speeds and agreement of a model and of its page, for each search."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(LONGEST)
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.evaluate(TRANSLATE, [texts[:1], {}])
        first = time.perf_counter() - start
        searches = {name: compare(model, page, texts, options) for name, options in SEARCHES.items()}
        version = f"Chromium {chromium.version}"
        chromium.close()
    record = {"browser": version, "first_output_seconds": round(first, 2), "sentences": len(texts)}
    return record | {"searches": searches}


def compare(model: s2s_plugin.Model, page: Page, texts: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Return the speeds of a model and of its page with one search, and how many outputs are the same."""
    times: dict[str, list[float]] = {"python": [], "page": []}
    single = dict.fromkeys(times, math.inf)
    model.translate(texts[:1], **options)
    for _ in range(ROUNDS):
        seconds, outputs = timed(lambda: model.outputs(texts, **options))
        found = page.evaluate(TRANSLATE, [texts, options])
        times["python"].append(seconds)
        times["page"].append(found["seconds"])
        seconds, _ = timed(lambda: [model.translate(text, **options) for text in texts[:ONE_BY_ONE]])
        single["python"] = min(single["python"], seconds)
        single["page"] = min(single["page"], page.evaluate(ONE_EACH, [texts[:ONE_BY_ONE], options]))
    tokens = sum(len(output.tokens) for (output,) in outputs)
    speeds = {
        name: {
            "sentences/s": round(len(texts) / min(each), 1),
            "tokens/s": round(tokens / min(each)),
            "one by one, sentences/s": round(ONE_BY_ONE / single[name], 1),
        }
        for name, each in times.items()
    }
    return {"same": sum(a == b.text for a, (b,) in zip(found["outputs"], outputs, strict=True)), **speeds}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds some work takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
