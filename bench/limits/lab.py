"""What the laboratories share: runs of ``s2s``, their record, and the command line.

    make limit-memory                               all experiments of a laboratory; finished runs are skipped
    make limit-memory ARGS="--only length"          one of them
    make limit-memory ARGS="--seeds 1 --jobs 1"     one seed on one core

Results replace the laboratory's part of ``bench/results/limits.json``, experiment by experiment; ``docs/limits.md`` and
its plots are drawn from there. A laboratory is a module with a function for each experiment; see ``limits.memory``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import ROOT, cost, machine, parser, read_result, write_result
from omegaconf import OmegaConf

from limits import page

RUNS = ROOT / "runs" / "limits"
NARROW = (  # half as wide as by default, in less than half the time
    "model.encoder_embed_dim=128 model.encoder_hidden_size=256 model.decoder_embed_dim=128 "
    "model.decoder_hidden_size=256"
)
MADE = "made.json"  # of a finished run: the command, and its seconds of CPU time
Experiment = Callable[[argparse.Namespace], dict[str, Any]]


def train(lab: str, settings: Mapping[str, str], options: argparse.Namespace) -> dict[str, list[Path]]:
    """Return the folders of ``s2s run SETTING`` by its name, one of each seed; as many run at once as there are jobs.

    Args:
        lab: name of the laboratory.
        settings: of a run, as one types them, by a name of it in this laboratory.
        options: of the command line: ``seeds`` and ``jobs``.
    """
    seeds = range(1, options.seeds + 1)
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = {
            name: [pool.submit(run, RUNS / lab / f"{name}.{seed}", f"{words} common.seed={seed}") for seed in seeds]
            for name, words in settings.items()
        }
        return {name: [each.result() for each in started] for name, started in runs.items()}


def each(function: Callable[[str], Any], names: Iterable[str], options: argparse.Namespace) -> list[Any]:
    """Return what a function returns of each name; as many at once as there are jobs."""
    with ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(function, names))


def run(folder: Path, settings: str) -> Path:
    """Train, decode and score on one core, unless that is done, and return the folder of the run.

    It exits if the folder was made by other settings.
    """
    name = folder.relative_to(ROOT)
    command = f"s2s run {settings} run_dir={name}"
    if (folder / MADE).is_file():
        made = json.loads((folder / MADE).read_text(encoding="utf-8"))
        if made["command"] != command:
            raise SystemExit(f"{name} was made by other settings, delete it:\n  {made['command']}\n  {command}")
        return folder
    seconds, _ = cost(command, threads=1)
    made = {"command": command, "seconds": round(seconds), "machine": machine()}
    (folder / MADE).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return folder


def scores(folder: Path) -> dict[str, Any]:
    """Return what the score stage of a run wrote."""
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def recipe(runs: Mapping[str, Sequence[Path]], **about: Any) -> dict[str, Any]:
    """Return how figures were made: ``about`` (data, split, metric), and what the runs themselves say.

    ``seconds`` is the median CPU time of a run, with preparation, decoding and scoring.
    """
    folders = [folder for each in runs.values() for folder in each]  # of each seed
    configs = [OmegaConf.load(folder / "config.yaml") for folder in folders]
    made = [json.loads((folder / MADE).read_text(encoding="utf-8")) for folder in folders]
    updates = sorted({scores(folder)["updates"] for folder in folders})
    return {
        **about,
        "beam": _only(config.generation.beam for config in configs),
        "lenpen": _only(config.generation.lenpen for config in configs),
        "seeds": sorted({config.common.seed for config in configs}),
        "updates": updates[0] if len(updates) == 1 else f"{updates[0]} to {updates[-1]}",
        "seconds": statistics.median(each["seconds"] for each in made),
        "machine": "; ".join(sorted({each["machine"] for each in made})),
        "commands": sorted({each["command"].partition(" common.seed=")[0] for each in made}),
    }


def _only(values: Iterable[Any]) -> Any:
    """Return the value if all are the same, otherwise the list of them."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else different


def main(lab: str, description: str | None, experiments: Mapping[str, tuple[Experiment, int]]) -> None:
    """Run the experiments of a laboratory, each with its number of seeds; write results and page after each.

    An experiment returns a record: ``rows`` of a table, with the numbers of all seeds in a list, ``recipe``, and
    perhaps ``plot``; see :func:`limits.page.table` and :func:`limits.page.draw`.
    """
    arguments = parser(description)
    arguments.add_argument("--only", nargs="+", choices=list(experiments), default=list(experiments))
    arguments.add_argument("--seeds", type=int, help="runs of each model; default: 1 to 3, by the experiment")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, of one core each")
    arguments.add_argument("--page", action="store_true", help="run nothing: write the page from the results")
    options = arguments.parse_args()
    for name in [] if options.page else options.only:
        experiment, seeds = experiments[name]
        record = experiment(argparse.Namespace(jobs=options.jobs, seeds=options.seeds or seeds))
        results = read_result(page.RESULTS) or {}
        results[lab] = results.get(lab, {}) | {name: record}
        write_result(page.RESULTS, results)
        print(page.table(record))
        page.write()
    page.write()
