"""The page that needs no server: size, speed and outputs, next to Python in one thread.

    python bench/web_speed.py runs/nmt/default

Exports the run in int8, as a file and as a page, and decodes 500 sentences of the test set with both in turn, three
times: with the file in Python (task.search_precision=int8, one thread), and in the page, opened from the disk in
headless Chromium. Times are the least of the three, by the clock; "one by one" is 50 of the sentences without batches.
Needs playwright and a Chromium, which CHROMIUM names if it is not /usr/bin/chromium. Results go to
``bench/results/web_speed.json`` and ``.md``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import call, machine, parser, table, write_result
from playwright.sync_api import sync_playwright

import s2s_plugin
from s2s_plugin.inference.run_dir import RunDir

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SENTENCES, ONE_BY_ONE, ROUNDS = 500, 50, 3
LONGEST = 30 * 60 * 1000  # milliseconds
TRANSLATE = """async (texts) => {
  const start = performance.now();
  const outputs = await s2s.translate(texts);
  return { outputs, seconds: (performance.now() - start) / 1000 };
}"""
ONE_EACH = """async (texts) => {
  const start = performance.now();
  for (const text of texts) await s2s.translate([text]);
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
    rows = [
        {"": name, "batches, sentences/s": each["sentences_per_second"], "tokens/s": each["tokens_per_second"]}
        | {"one by one, sentences/s": each["one_by_one_per_second"]}
        for name, each in (("Python, one thread", record["python"]), ("page", record["page"]))
    ]
    ratio = {"": "page / Python"} | {
        column: round(rows[1][column] / rows[0][column], 2) for column in rows[0] if column
    }
    summary = (
        f"{record['run']}: the page has {record['page_bytes'] / 1e6:.2f} MB, the file "
        f"{record['package_bytes'] / 1e6:.2f} MB. First output {record['first_output_seconds']:.2f} s after the page "
        f"is opened. {record['same']} of {record['sentences']} outputs are those of Python."
    )
    setting = f"{record['machine']}; {record['browser']}"
    write_result("web_speed", record, ["# The page that needs no server", setting, summary, table([*rows, ratio])])
    print(summary, table([*rows, ratio]), sep="\n\n")


def measure(model: s2s_plugin.Model, path: Path, texts: list[str]) -> dict[str, Any]:
    """Return speeds and agreement of a model and of its page."""
    python: list[float] = []
    browser: list[float] = []
    single = {"python": 0.0, "page": 0.0}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(LONGEST)
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.evaluate(TRANSLATE, texts[:1])
        first = time.perf_counter() - start
        model.translate(texts[:1])
        for _ in range(ROUNDS):
            seconds, outputs = timed(lambda: model.outputs(texts))
            python.append(seconds)
            found = page.evaluate(TRANSLATE, texts)
            browser.append(found["seconds"])
            single["python"], _ = timed(lambda: [model.translate(text) for text in texts[:ONE_BY_ONE]])
            single["page"] = page.evaluate(ONE_EACH, texts[:ONE_BY_ONE])
        version = f"Chromium {chromium.version}"
        chromium.close()
    tokens = sum(len(output.tokens) for (output,) in outputs)
    speeds = {
        name: {
            "sentences_per_second": round(len(texts) / min(times), 1),
            "tokens_per_second": round(tokens / min(times)),
            "one_by_one_per_second": round(min(ONE_BY_ONE, len(texts)) / single[name], 1),
        }
        for name, times in (("python", python), ("page", browser))
    }
    same = sum(mine == output.text for mine, (output,) in zip(found["outputs"], outputs, strict=True))
    return {
        "browser": version,
        "first_output_seconds": round(first, 2),
        "sentences": len(texts),
        "same": same,
        **speeds,
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds some work takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
