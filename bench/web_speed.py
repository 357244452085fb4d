"""The page that needs no server: size, speed and outputs, next to Python in one thread.

    python bench/web_speed.py runs/nmt/default

Exports the run in int8, as a file and as a page, and decodes 500 items of the test set with both in turn, three times,
with the run's search and greedily: in Python (task.search_precision=int8, one thread), and in the page, opened from the
disk in headless Chromium. Times are the least of the three, by the clock; "one by one" is 50 of the items without
batches. Pictures and recordings are read from their files within that time. Needs playwright and a Chromium, which
CHROMIUM names if it is not /usr/bin/chromium. Results go to ``bench/results/web_speed.json`` and ``.md``; those of
pictures and recordings to ``web_speed_caption`` and ``web_speed_asr``.
"""

from __future__ import annotations

import base64
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
ITEMS, ONE_BY_ONE, ROUNDS = 500, 50, 3
SEARCHES: dict[str, dict[str, Any]] = {"the run's search": {}, "beam=1": {"beam": 1}}
LONGEST = 30 * 60 * 1000  # milliseconds
READ = """const read = (each) => typeof each === "string" ? each
    : new File([Uint8Array.from(atob(each.content), (letter) => letter.charCodeAt(0))], each.name);
  const inputs = given.map(read);"""
TRANSLATE = f"""async ([given, options]) => {{
  {READ}
  const start = performance.now();
  const outputs = await s2s.translate(inputs, options);
  return {{ outputs, seconds: (performance.now() - start) / 1000 }};
}}"""
ONE_EACH = f"""async ([given, options]) => {{
  {READ}
  const start = performance.now();
  for (const input of inputs) await s2s.translate([input], options);
  return (performance.now() - start) / 1000;
}}"""


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
        record = measure(model, page, read_inputs(RunDir(run), model)[:ITEMS])
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
        f"is opened. {same} of {record['items']} outputs are those of Python."
    )
    setting = f"{record['machine']}; {record['browser']}"
    name = "web_speed" if model.modality == "text" else f"web_speed_{model.app}"
    write_result(name, record, ["# The page that needs no server", setting, summary, table(rows)])
    print(summary, table(rows), sep="\n\n")


def read_inputs(run: RunDir, model: s2s_plugin.Model) -> list[str]:
    """Return the sources of the test set: texts, or names of files."""
    if model.modality != "text":
        return [row["media"] for row in run.read_outputs()]
    return (run.data / "text" / f"test.{model.source_lang}").read_text(encoding="utf-8").splitlines()


def for_page(model: s2s_plugin.Model, inputs: list[str]) -> list[Any]:
    """Return the inputs as the page gets them: texts, or the content of files."""
    if model.modality == "text":
        return inputs
    return [{"name": name, "content": base64.b64encode(Path(name).read_bytes()).decode()} for name in inputs]


def measure(model: s2s_plugin.Model, path: Path, inputs: list[str]) -> dict[str, Any]:
    """Return speeds and agreement of a model and of its page, for each search."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(LONGEST)
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.evaluate(TRANSLATE, [for_page(model, inputs[:1]), {}])
        first = time.perf_counter() - start
        searches = {name: compare(model, page, inputs, options) for name, options in SEARCHES.items()}
        version = f"Chromium {chromium.version}"
        chromium.close()
    record = {"browser": version, "first_output_seconds": round(first, 2), "items": len(inputs)}
    return record | {"searches": searches}


def compare(model: s2s_plugin.Model, page: Page, inputs: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Return the speeds of a model and of its page with one search, and how many outputs are the same."""
    times: dict[str, list[float]] = {"python": [], "page": []}
    single = dict.fromkeys(times, math.inf)
    files = for_page(model, inputs)
    model.translate(inputs[:1], **options)
    for _ in range(ROUNDS):
        seconds, outputs = timed(lambda: model.outputs(inputs, **options))
        found = page.evaluate(TRANSLATE, [files, options])
        times["python"].append(seconds)
        times["page"].append(found["seconds"])
        seconds, _ = timed(lambda: [model.translate(each, **options) for each in inputs[:ONE_BY_ONE]])
        single["python"] = min(single["python"], seconds)
        single["page"] = min(single["page"], page.evaluate(ONE_EACH, [files[:ONE_BY_ONE], options]))
    tokens = sum(len(output.tokens) for (output,) in outputs)
    speeds = {
        name: {
            "items/s": round(len(inputs) / min(each), 1),
            "tokens/s": round(tokens / min(each)),
            "one by one, items/s": round(min(ONE_BY_ONE, len(inputs)) / single[name], 1),
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
