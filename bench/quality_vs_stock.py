"""Our default against stock fairseq's ``lstm``: same data, subwords, widths, layers, updates, batches and beam.

    python bench/quality_vs_stock.py                     three seeds, both systems, about an hour on two cores
    python bench/quality_vs_stock.py --seeds 1 --updates 200 --quick

Every training and decoding is a plain fairseq command, shown as it runs; the systems alternate. Results go to
``bench/results/quality_vs_stock.json``, with the commands, and as a table to the ``.md`` next to it, after each system.
"""

from __future__ import annotations

import json
import re
import shlex
import statistics
import time
from pathlib import Path

import torch
from common import ROOT, call, count_parameters, machine, parser, prepare, read_result, score, write_result

COMMON = (
    "--cpu --share-all-embeddings --dropout 0.2 --optimizer adam --adam-betas '(0.9, 0.98)' --clip-norm 1.0 "
    "--lr 0.003 --lr-scheduler inverse_sqrt --warmup-updates 300 --criterion label_smoothed_cross_entropy "
    "--label-smoothing 0.1 --max-tokens 1500 --num-workers 0 --required-batch-size-multiple 1 "
    "--best-checkpoint-metric bleu --maximize-best-checkpoint-metric --no-epoch-checkpoints "
    "--log-format json --log-interval 50"
)
OURS = (
    "--user-dir s2s_plugin --task s2s --eval-metric bleu --arch s2s --encoder-embed-dim 256 "
    "--encoder-hidden-size 512 --encoder-layers 1 --decoder-embed-dim 256 --decoder-hidden-size 512 --decoder-layers 1"
)
SYSTEMS = {
    "ours": OURS,  # --precision auto: bf16 products on a CPU made for them
    "ours, fp32": OURS + " --precision fp32",
    # Its hidden size is per direction, ours for both; its output layer is as wide as the embedding.
    "stock lstm": "--task translation --arch lstm --encoder-bidirectional --encoder-embed-dim 256 "
    "--encoder-hidden-size 256 --encoder-layers 1 --decoder-embed-dim 256 --decoder-hidden-size 512 "
    "--decoder-layers 1 --decoder-out-embed-dim 256 --eval-bleu --eval-bleu-remove-bpe sentencepiece "
    '--eval-bleu-args \'{"beam": 1, "max_len_a": 1.5, "max_len_b": 10}\'',
}
SEARCH = "--cpu --beam 5 --lenpen 1.0 --max-len-a 1.5 --max-len-b 10 --max-tokens 1500 --required-batch-size-multiple 1"


def measure(system: str, data: Path, seed: int, updates: int) -> dict:
    """Train, decode and score one system with one seed."""
    folder = ROOT / "runs" / "bench" / f"{re.sub('[^a-z0-9]+', '-', system)}.{updates}.{seed}"
    checkpoints = folder / "checkpoints"
    train = f"fairseq-train {data.relative_to(ROOT)} {SYSTEMS[system]} {COMMON} --seed {seed} --max-update {updates} " \
        f"--save-dir {checkpoints.relative_to(ROOT)}"  # fmt: skip
    if not (folder / "trained.json").is_file():
        started = time.monotonic()
        log = call(train)
        trained = {
            "train_seconds": round(time.monotonic() - started, 1),
            "train_tokens_per_second": statistics.median(float(v) for v in re.findall(r'"wps": "([\d.]+)"', log)),
            "parameters": count_parameters(log),
        }
        (folder / "trained.json").write_text(json.dumps(trained) + "\n")
    trained = json.loads((folder / "trained.json").read_text())
    plugin = "--user-dir s2s_plugin --task s2s" if system.startswith("ours") else \
        "--user-dir s2s_plugin --task translation --remove-bpe sentencepiece"  # fmt: skip
    best = (checkpoints / "checkpoint_best.pt").relative_to(ROOT)
    generate = f"fairseq-generate {data.relative_to(ROOT)} {plugin} --path {best} {SEARCH} " \
        f"--results-path {folder.relative_to(ROOT)}"  # fmt: skip
    started = time.monotonic()
    call(generate)
    generate_seconds = time.monotonic() - started
    target = data.name.split(".")[1].split("-")[1]
    state = torch.load(checkpoints / "checkpoint_best.pt", weights_only=True, map_location="cpu")
    return {
        "system": system,
        "seed": seed,
        "updates": updates,
        **trained,
        "best_update": state["optimizer_history"][-1]["num_updates"],
        "generate_seconds": round(generate_seconds, 1),
        **score(["s2s_bleu", "s2s_chrf"], folder, data / "text" / f"test.{target}"),
        "commands": [train, generate],
    }


def table(results: list[dict]) -> str:
    """Return a Markdown table of medians over seeds, one row per system."""
    rows = [
        "| system | seeds | parameters | BLEU | chrF2 | training s | target tokens/s | generation s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for system in SYSTEMS:
        mine = [result for result in results if result["system"] == system]
        if mine:
            bleu = [result["BLEU"] for result in mine]
            spread = f"{statistics.median(bleu):.2f} ({min(bleu):.2f} to {max(bleu):.2f})"
            numbers = [statistics.median(r[k] for r in mine) for k in
                       ("chrF2", "train_seconds", "train_tokens_per_second", "generate_seconds")]  # fmt: skip
            rows.append(
                f"| {system} | {len(mine)} | {mine[0]['parameters']:,} | {spread} | {numbers[0]:.2f} "
                f"| {numbers[1]:.0f} | {numbers[2]:.0f} | {numbers[3]:.0f} |"
            )
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure every system and seed that has no result; write the results after each."""
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--updates", type=int, default=1500)
    arguments.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    arguments.add_argument("--data", nargs="*", default=[], help="overrides that choose the data, as for s2s prepare")
    arguments.add_argument("--quick", action="store_true", help="60 updates, one seed, results not written")
    options = arguments.parse_args()
    if options.quick:
        options.seeds, options.updates = 1, 60

    data = prepare(shlex.join(["s2s", "prepare", "app=nmt", *options.data]))
    results = [] if options.quick else (read_result("quality_vs_stock") or {"results": []})["results"]

    def mine() -> list[dict]:
        return [r for r in results if r["data"] == data.name and r["updates"] == options.updates]

    done = {(r["system"], r["seed"]) for r in mine()}
    for seed in range(1, options.seeds + 1):
        for system in options.systems:
            if (system, seed) in done:
                continue
            results.append({**measure(system, data, seed, options.updates), "data": data.name})
            if options.quick:
                continue
            heading = f"{machine()}; data {data.name}; {options.updates} updates; medians over seeds."
            record = {"machine": machine(), "results": results}
            write_result("quality_vs_stock", record, [str(__doc__).splitlines()[0], heading, table(mine())])
    print(table(mine()))
    speed = {r["system"]: r["train_tokens_per_second"] for r in mine()}
    if {"ours", "stock lstm"} <= speed.keys():
        print(f"train ours/stock = {speed['ours'] / speed['stock lstm']:.2f} (target tokens per second)")


if __name__ == "__main__":
    main()
