"""Grapheme to phoneme on SIGMORPHON 2020: word and phone error rates of one configuration for all languages.

    python bench/g2p_sigmorphon.py                                  five languages, five seeds and their ensemble
    python bench/g2p_sigmorphon.py --languages ady vie --seeds 1    others of the fifteen
    python bench/g2p_sigmorphon.py --from FOLDER                    with local files kor_train.tsv ...

Each training is ``s2s run experiment=sigmorphon2020`` on one core; as many run in parallel as there are cores.
Finished runs are skipped. Results go to ``bench/results/g2p_sigmorphon.json`` and a table next to it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import ROOT, call, machine, parser, score, write_result
from omegaconf import OmegaConf

RUNS = ROOT / "runs" / "g2p"
LANGUAGES = ("kor", "fre", "hun", "ice", "jpn")
PUBLISHED = {  # WER of the task's LSTM baseline, the best of 36 configurations for each language
    "ady": 28.00, "arm": 14.67, "bul": 31.11, "dut": 16.44, "fre": 6.22, "geo": 26.44, "gre": 18.89, "hin": 6.67,
    "hun": 5.33, "ice": 10.00, "jpn": 7.56, "kor": 46.89, "lit": 19.11, "rum": 10.67, "vie": 4.67,
}  # fmt: skip


def train(language: str, seed: int, folder: Path | None, more: list[str]) -> dict:
    """Train one model, decode and score."""
    name = f"{language}.{seed}"
    files = [] if folder is None else [f"data.from_dir={folder}"]
    words = ["s2s", "run", "experiment=sigmorphon2020", f"data.source_lang={language}", f"name={name}"]
    command = shlex.join([*words, f"common.seed={seed}", *more])
    started = time.monotonic()
    call(f"{command} {shlex.join(files)}".rstrip(), threads=1)
    scores = json.loads((RUNS / name / "scores.json").read_text())
    dev = re.findall(r'"valid_g2p_wer": "([\d.]+)"', (RUNS / name / "log.txt").read_text())
    result = {
        "language": language,
        "seed": seed,
        "WER": scores["metrics"]["WER"]["score"],
        "PER": scores["metrics"]["PER"]["score"],
        "dev WER, greedy": min(map(float, dev)),
        "train_seconds": scores["train_seconds"],
        "updates": scores["updates"],
        "parameters": scores["parameters"],
        "command": command,
    }
    print(f"{language} seed {seed}: WER {result['WER']:.2f}  PER {result['PER']:.2f}  "
          f"({time.monotonic() - started:.0f} s)", flush=True)  # fmt: skip
    return result


def ensemble(language: str, seeds: list[int]) -> dict:
    """Decode with the models of all seeds, averaged in probability, and score."""
    settings = json.loads((RUNS / f"{language}.1" / "generated.json").read_text())
    paths = [RUNS / f"{language}.{seed}" / "checkpoints" / settings["checkpoint"] for seed in seeds]
    data = Path(OmegaConf.load(RUNS / f"{language}.1" / "fairseq.yaml").task.data)
    out = RUNS / f"{language}.ensemble"
    call(
        f"fairseq-generate {data} --user-dir s2s_plugin --task s2s --cpu --path {':'.join(map(str, paths))} --beam 5 "
        f"--max-len-a 1.5 --max-len-b 10 --results-path {out}",
        threads=1,
    )
    scores = score(["s2s_g2p_wer", "s2s_per"], out, ROOT / data / "text" / "test.ipa")
    return {"language": language, "seeds": seeds, **scores}


def table(results: list[dict], ensembles: list[dict]) -> str:
    """Return a Markdown table of each language's mean over seeds and its ensemble."""
    rows = [
        "| language | seeds | WER, mean (range) | PER | ensemble WER | PER | published LSTM WER | training, one core |",
        "|---|---|---|---|---|---|---|---|",
    ]
    means, combined, published = [], [], []
    for language in dict.fromkeys(result["language"] for result in results):
        mine = [result for result in results if result["language"] == language]
        errors = [result["WER"] for result in mine]
        both = next((e for e in ensembles if e["language"] == language), None)
        means.append(statistics.mean(errors))
        published.append(PUBLISHED.get(language, float("nan")))
        combined += [both["WER"]] if both else []
        cells = [
            language,
            str(len(mine)),
            f"{means[-1]:.2f} ({min(errors):.2f} to {max(errors):.2f})",
            f"{statistics.mean(r['PER'] for r in mine):.2f}",
            *([f"{both['WER']:.2f}", f"{both['PER']:.2f}"] if both else ["", ""]),
            f"{published[-1]:.2f}",
            f"{statistics.median(r['train_seconds'] for r in mine):.0f} s",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    ends = f"{statistics.mean(combined):.2f}" if len(combined) == len(means) else ""
    rows.append(f"| mean | | {statistics.mean(means):.2f} | | {ends} | | {statistics.mean(published):.2f} | |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Train and score every language and seed, then write the results."""
    arguments = parser(__doc__)
    arguments.add_argument("--languages", nargs="+", default=list(LANGUAGES))
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--from", dest="folder", type=Path, help="folder of the data's files")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument(
        "overrides", nargs="*", help="further settings, as for s2s run; results are then not written"
    )
    options = arguments.parse_args()
    folder = options.folder and options.folder.resolve()
    seeds = list(range(1, options.seeds + 1))
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [
            pool.submit(train, language, seed, folder, options.overrides)
            for seed in seeds
            for language in options.languages
        ]
        results = [job.result() for job in jobs]
        ensembles = [] if len(seeds) == 1 else list(pool.map(lambda lang: ensemble(lang, seeds), options.languages))
    print(table(results, ensembles))
    if not options.overrides:
        about = {
            "data": "SIGMORPHON 2020 task 1, official split, all 450 test words of a language, NFC",
            "metric": "WER: words with any error; PER: edits in percent of phones; beam 5, length penalty 1",
            "machine": f"{machine()}, one core per training",
        }
        record = {**about, "results": results, "ensembles": ensembles}
        lines = [str(__doc__).splitlines()[0], *about.values(), table(results, ensembles)]
        write_result("g2p_sigmorphon", record, lines)


if __name__ == "__main__":
    main()
