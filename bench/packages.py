"""Trained runs as files: size, loading, verification, and a call of the Python API and of the server.

    python bench/packages.py runs/nmt/default runs/asr/default ...

Exports each run and does with the file alone what its receiver would do, on one thread: ``s2s_plugin.load`` in a fresh
process (the import of the package apart), ``s2s verify``, the first example through ``model.translate`` and through the
REST interface of ``s2s serve``. Of the two calls, the median of ten after a first one. Results go to
``bench/results/packages.json`` and ``.md``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from common import call, machine, parser, table, write_result
from serve_load import Server

CALLS = 10
# Prints the CPU seconds of the import and of loading, the output, and the milliseconds of a call.
CALLER = """
import json, sys, time
file, text, calls = json.loads(sys.argv[1])
start = time.process_time()
import s2s_plugin
imported = time.process_time()
model = s2s_plugin.load(file)
loaded = time.process_time()
output, times = model.translate(text), []
for _ in range(calls):
    start_call = time.perf_counter()
    assert model.translate(text) == output
    times.append(1000 * (time.perf_counter() - start_call))
print(json.dumps([imported - start, loaded - imported, output, sorted(times)[calls // 2]]))
"""


def measure(run: Path, folder: Path) -> dict[str, Any]:
    """Return the row of a run; its file goes into ``folder``."""
    file = folder / f"{len(list(folder.iterdir()))}.s2s"
    call(f"s2s export {run} --to {file}", threads=1)
    verified = call(f"s2s verify {file}", threads=1, messages=False).rpartition("; ")[2].strip()
    app, example, is_file = contents(file, folder)
    words = [sys.executable, "-c", CALLER, json.dumps([str(file), example, CALLS])]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    imported, loaded, output, api = json.loads(done.stdout)
    served, rest = ask_server(file, example, is_file)
    assert served == output, f"{run}: the server answers {served!r}, the API {output!r}"
    return {
        "app": app,
        "MB": round(file.stat().st_size / 1e6, 1),
        "load, CPU s": round(loaded, 2),
        "after import, CPU s": round(imported, 2),
        "verify": verified,
        "API call, ms": round(api),
        "REST call, ms": round(rest),
        "output": output,
    }


def contents(file: Path, folder: Path) -> tuple[str, str, bool]:
    """Return the app of a packaged model; its first example, a text or the path of a file; and whether it is a file."""
    with zipfile.ZipFile(file) as members:
        app = json.loads(members.read("s2s.json"))["app"]
        name = json.loads(members.read("examples.json"))[0]["input"]
        is_file = name in members.namelist()
        return (app, members.extract(name, folder), True) if is_file else (app, name, False)


def ask_server(file: Path, example: str, is_file: bool) -> tuple[str, float]:
    """Return the server's answer, and the milliseconds that it takes."""
    server = Server(file, "fp32")
    try:
        with httpx.Client(base_url=server.translate.rpartition("/")[0], timeout=60) as client:

            def ask() -> httpx.Response:
                if is_file:
                    return client.post("/file", files={"file": (Path(example).name, Path(example).read_bytes())})
                return client.post("/translate", json={"inputs": [example]})

            answer = ask().raise_for_status().json()
            return answer["outputs"][0][0]["text"], statistics.median(milliseconds(ask) for _ in range(CALLS))
    finally:
        server.process.kill()


def milliseconds(action: Callable[[], Any]) -> float:
    """Return the time that an action takes."""
    start = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Measure, and write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    runs = arguments.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="s2s-bench-") as folder:
        rows = [measure(run, Path(folder)) for run in runs]
    print(table(rows))
    write_result("packages", {"machine": machine(), "rows": rows}, [(__doc__ or "").strip(), machine(), table(rows)])


if __name__ == "__main__":
    main()
