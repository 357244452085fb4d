"""Grapheme to phoneme on CMUdict: our model against stock fairseq's ``lstm`` of similar size and equal training time.

    python bench/g2p_cmudict.py

Ours is ``s2s run app=g2p``, trained for longer; stock then trains for as many seconds, on the same tokens, batches,
optimizer and schedule, both on one core. Stock's encoder and decoder have the same depth, and it has no moving average
and no error rate in validation: its best checkpoint is the one with the lowest loss. Results go to
``bench/results/g2p_cmudict.json``.
"""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import torch
from common import ROOT, call, count_parameters, parser, score, write_result

from s2s_plugin.text.codec import PairCodec

OURS = (
    "s2s run app=g2p name=bench lr_scheduler=inverse_sqrt optimization.lr=[0.003] optimization.max_update=4500 "
    "dataset.validate_interval_updates=500 checkpoint.save_interval_updates=500"
)
STOCK = (
    "fairseq-train {data} --user-dir s2s_plugin --task translation -s word -t arpabet --cpu --arch lstm "
    "--encoder-bidirectional --encoder-layers {layers} --encoder-embed-dim 128 --encoder-hidden-size 128 "
    "--decoder-layers {layers} --decoder-embed-dim 128 --decoder-hidden-size 256 --decoder-out-embed-dim 128 "
    "--share-decoder-input-output-embed --dropout 0.3 --criterion label_smoothed_cross_entropy --label-smoothing 0.1 "
    "--optimizer adam --adam-betas '(0.9, 0.98)' --lr 0.003 --lr-scheduler inverse_sqrt --warmup-updates 300 "
    "--clip-norm 1.0 --max-tokens 8000 --batch-size 256 --required-batch-size-multiple 1 --num-workers 0 --seed 1 "
    "--validate-interval 1000000 --validate-interval-updates 500 --no-epoch-checkpoints --save-interval-updates 500 "
    "--keep-interval-updates 1 --save-interval 1000000 --log-format json --stop-time-hours {hours:.4f} --save-dir {out}"
)
GENERATE = (
    "fairseq-generate {data} --user-dir s2s_plugin --task translation -s word -t arpabet --cpu --beam 5 "
    "--max-len-a 1.5 --max-len-b 10 --required-batch-size-multiple 1 --path {out}/checkpoint_best.pt "
    "--results-path {out}"
)


def stock(data: Path, layers: int, seconds: float) -> dict:
    """Train and score stock's model with ``layers`` layers on each side."""
    out = f"runs/g2p/stock{layers}"
    commands = [
        STOCK.format(data=data, layers=layers, hours=seconds / 3600, out=out),
        GENERATE.format(data=data, out=out),
    ]
    log = "".join(call(command, threads=1) for command in commands)
    codec = PairCodec.load(ROOT / data, "word", "arpabet")
    assert codec is not None
    state = torch.load(ROOT / out / "checkpoint_last.pt", weights_only=True, map_location="cpu")
    return {
        "system": f"stock lstm, {layers} + {layers} layers",
        "parameters": count_parameters(log),
        "train_seconds": round(state["extra_state"]["previous_training_time"]),
        "updates": state["optimizer_history"][-1]["num_updates"],
        **score(["s2s_g2p_wer", "s2s_per"], ROOT / out, ROOT / data / "text" / "test.arpabet", codec.decode),
        "commands": commands,
    }


def main() -> None:
    """Train ours, then stock's two sizes, and write the results."""
    parser(__doc__).parse_args()
    call(OURS, threads=1)
    run = ROOT / "runs" / "g2p" / "bench"
    scores = json.loads((run / "scores.json").read_text())
    ours = {
        "system": "ours",
        **{name: scores[name] for name in ("parameters", "train_seconds", "updates")},
        **{name: scores["metrics"][name]["score"] for name in ("WER", "PER")},
        "commands": [OURS],
    }
    results = [ours]
    data = Path(re.findall(r"data-bin/cmudict\.[\w.-]+", (run / "commands.txt").read_text())[0])
    results += [stock(data, layers, scores["train_seconds"]) for layers in (1, 2)]
    about = {
        "data": f"{scores['sentences']:,} test words, the recipe's split; only a word's first pronunciation counts",
        "metric": {name: value["signature"] for name, value in scores["metrics"].items()},
        "search": "beam 5, length penalty 1, seed 1",
        "machine": f"{platform.machine()}, one core, torch {torch.__version__}",
    }
    write_result("g2p_cmudict", {**about, "results": results})
    for result in results:
        print({name: value for name, value in result.items() if name != "commands"})


if __name__ == "__main__":
    main()
