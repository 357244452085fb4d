"""Grapheme to phoneme on CMUdict: our model beside stock fairseq's ``lstm`` of like size, given as much time.

    python bench/g2p_cmudict.py

Ours is ``s2s run app=g2p``, trained for longer; stock then trains for as many seconds, on the same symbols, batches,
optimizer and schedule, both on one core. Stock's encoder and decoder are of one depth, and it has no moving average and
no error rate in validation: its best checkpoint is that of the lowest loss. Results go to
``bench/results/g2p_cmudict.json``.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import torch

from s2s_plugin.stages.generate import read_hypotheses
from s2s_plugin.stages.score import evaluate
from s2s_plugin.text.codec import PairCodec

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
RESULTS = ROOT / "bench" / "results" / "g2p_cmudict.json"
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


def call(command: str) -> str:
    """What a command of this environment prints; on one core."""
    print(f"$ {command}", flush=True)
    words = shlex.split(command)
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def stock(data: Path, layers: int, seconds: float) -> dict:
    """Stock's results with so many layers on each side."""
    out = f"runs/g2p/stock{layers}"
    commands = [
        STOCK.format(data=data, layers=layers, hours=seconds / 3600, out=out),
        GENERATE.format(data=data, out=out),
    ]
    log = "".join(map(call, commands))
    codec = PairCodec.load(ROOT / data, "word", "arpabet")
    assert codec is not None
    references = (ROOT / data / "text" / "test.arpabet").read_text(encoding="utf-8").splitlines()
    found = read_hypotheses(ROOT / out / "generate-test.txt")
    hypotheses = [codec.decode(found[index][1]) for index in range(len(references))]
    scores = evaluate(["s2s_g2p_wer", "s2s_per"], hypotheses, references)
    state = torch.load(ROOT / out / "checkpoint_last.pt", weights_only=True, map_location="cpu")
    return {
        "system": f"stock lstm, {layers} + {layers} layers",
        "parameters": int(re.findall(r"num\. shared model params: ([\d,]+)", log)[0].replace(",", "")),
        "train_seconds": round(state["extra_state"]["previous_training_time"]),
        "updates": state["optimizer_history"][-1]["num_updates"],
        **{name: value["score"] for name, value in scores.items()},
        "commands": commands,
    }


def main() -> None:
    call(OURS)
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
    RESULTS.write_text(json.dumps({**about, "results": results}, indent=2) + "\n")
    for result in results:
        print({name: value for name, value in result.items() if name != "commands"})


if __name__ == "__main__":
    main()
