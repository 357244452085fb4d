"""Packing of audio features: how many times faster than real time, and whether memory grows with the corpus.

    python bench/feature_packing.py                      the default corpus of app=asr, once and eight times over
    python bench/feature_packing.py --manifest my.tsv    another one

Each size is packed in a process of its own, with all cores. Results go to ``bench/results/feature_packing.json``.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import soundfile
from common import ROOT, parser, write_result

from s2s_plugin.datasets.features import pack
from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.manifest import read_manifest


def default_manifest() -> Path:
    """Return the manifest of the telephone prompts' training set, which their recipe writes."""
    out = ROOT / "data-bin" / "bench" / "asterisk_sounds"
    recipe = ROOT / "data" / "asterisk_sounds" / "prepare.py"
    subprocess.run([sys.executable, str(recipe), "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return out / "train.tsv"


def measure(manifest: Path, times: int, results: Connection) -> None:
    """Pack the corpus ``times`` over and send the figures; to be run in a fresh process."""
    _, items = read_manifest(manifest)
    items = [item._replace(id=f"{copy}.{item.id}") for copy in range(times) for item in items]
    seconds = sum(soundfile.info(item.path).duration for item in items)
    frontend = build_frontend("audio", {"sample_rate": 8000})
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        pack(items, frontend, Path(folder) / "train", skip_bad=False)
        elapsed = time.monotonic() - started
        size = (Path(folder) / "train.bin").stat().st_size
    peak = {who: resource.getrusage(which).ru_maxrss / 1024 for who, which in
            (("main", resource.RUSAGE_SELF), ("worker", resource.RUSAGE_CHILDREN))}  # fmt: skip
    results.send(
        {
            "files": len(items),
            "audio_minutes": round(seconds / 60, 1),
            "seconds": round(elapsed, 2),
            "times_real_time": round(seconds / elapsed),
            "features_mib": round(size / 2**20, 1),
            "peak_mib": {who: round(mib) for who, mib in peak.items()},
        }
    )


def main() -> None:
    """Measure each size and write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("--manifest", type=Path, help="of audio files")
    arguments.add_argument("--times", type=int, nargs="+", default=[1, 8], help="how often over (default: 1 8)")
    options = arguments.parse_args()
    manifest = options.manifest or default_manifest()
    rows = []
    for times in options.times:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(manifest, times, sender))
        process.start()
        sender.close()  # else recv() would wait for a process that died
        rows.append({"times": times, **receiver.recv()})
        process.join()
        print(rows[-1], flush=True)
    if options.manifest is None:
        about = {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "command": "bench/feature_packing.py"}
        write_result("feature_packing", {**about, "results": rows})
    print(f"packing = {rows[0]['times_real_time']} times real time")


if __name__ == "__main__":
    main()
