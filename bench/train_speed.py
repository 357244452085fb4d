"""Training speed of our decoders against fairseq's own ``lstm``, in one interleaved run: target tokens per second.

    python bench/train_speed.py                      every decoder in fp32 and bf16, on all cores
    python bench/train_speed.py --quick              fewer systems, batches of 32, within 60 s; results not written
    python bench/train_speed.py --data data-bin/X    batches of a folder made by s2s prepare app=nmt
    python bench/train_speed.py --device cuda        on a GPU: all systems, stock too, with bf16 autocast

Equal sizes: 2 + 2 layers; embeddings, memory (half of it per direction), states and features 512 wide; tables of 8,000
tokens, none shared; dropout 0.2. A step is fairseq's own ``Trainer.train_step`` for both sides: forward, label-smoothed
cross entropy, backward, clipping, Adam. In each round every system takes a step on the same batch, in rotating order:
128 pairs of 24 random tokens without padding, or with ``--data`` 128 pairs of similar length, padded. Times are medians
over rounds, and a ratio is the median of the ratios within a round.

Stock trains in fp32 on a CPU; "stock lstm, bf16" is the same model under our task's ``--precision``, which fairseq's
tasks lack. The last line compares the fastest of our decoders in the precision that ``--precision auto`` chooses here
with stock in fp32; on a GPU both have bf16. Results go to ``bench/results/train_speed.json`` and ``.md``, one entry per
command.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from common import ROOT, check_device, parser, read_result, setting, table, write_dictionaries, write_result
from fairseq import options as fairseq_options
from fairseq import tasks
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer

from s2s_plugin.models.decoders import DECODERS
from s2s_plugin.tasks.precision import bf16_is_faster_on_cpu

WARM_UP = 1  # rounds
LENGTH = 24  # of random sentences, with </s>
System = tuple[str, str]  # a decoder or STOCK, and the precision of matrix products
STOCK = "stock lstm"

COMMON = (
    "--optimizer adam --adam-betas '(0.9, 0.98)' --clip-norm 1.0 --lr 0.001 --criterion label_smoothed_cross_entropy "
    "--label-smoothing 0.1 --dropout 0.2 --seed 1 --distributed-world-size 1 --encoder-layers 2 --decoder-layers 2 "
    "--encoder-embed-dim {width} --decoder-embed-dim {width} --decoder-hidden-size {width}"
)
# Its hidden size is per direction, ours for both; the width of its output layer is an option.
STOCK_MODEL = "--arch lstm --encoder-bidirectional --encoder-hidden-size {half} --decoder-out-embed-dim {width}"
OUR_MODEL = "--arch s2s --encoder-hidden-size {width} --decoder-type {decoder}"


def recipe(decoder: str, precision: str, device: str, width: int) -> str:
    """Return the arguments of fairseq-train for a system, without the data."""
    task = "--task translation"
    if decoder != STOCK or precision != "fp32":
        task = f"--user-dir s2s_plugin --task s2s --precision {precision}"
    model = f"{STOCK_MODEL if decoder == STOCK else OUR_MODEL} {COMMON}".format(
        width=width, half=width // 2, decoder=decoder
    )
    return f"{task} {model}" + (" --cpu" if device == "cpu" else "")


def build(words: str, data: Path, save_dir: str) -> Trainer:
    """Build the trainer of ``fairseq-train DATA WORDS``."""
    arguments = [str(data), *shlex.split(words), "--save-dir", save_dir]
    training = fairseq_options.get_training_parser()
    cfg = convert_namespace_to_omegaconf(fairseq_options.parse_args_and_arch(training, input_args=arguments))
    torch.manual_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    return Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))


def random_batch(sentences: int, dictionary: Dictionary) -> dict:
    """Return pairs of random tokens in fairseq's format; the last token is </s>."""
    source, target = torch.randint(dictionary.nspecial, len(dictionary), (2, sentences, LENGTH))
    source[:, -1] = target[:, -1] = dictionary.eos()
    net_input = {"src_tokens": source, "src_lengths": torch.full((sentences,), LENGTH)}
    net_input["prev_output_tokens"] = target.roll(1, 1)
    batch = {"id": torch.arange(sentences), "nsentences": sentences, "ntokens": target.numel(), "target": target}
    return {**batch, "net_input": net_input}


def real_batches(task: FairseqTask, count: int, sentences: int) -> list[dict]:
    """Return full batches of the training data, drawn at random."""
    task.load_dataset("train")
    dataset = task.dataset("train")
    batches = task.get_batch_iterator(dataset, max_sentences=sentences, seed=1).frozen_batches
    full = [batch[::-1] for batch in batches if len(batch) == sentences]  # stock needs the longest sentence first
    if not full:
        sys.exit(f"--sentences {sentences}: {task.cfg.data} has fewer pairs")
    drawn = random.Random(1).sample(full, min(count, len(full)))
    return [dataset.collater([dataset[i] for i in batch]) for batch in drawn]


def measure(trainers: dict[System, Trainer], batches: list[dict], rounds: int, deadline: float) -> dict:
    """Return each system's seconds in each round; no round starts that may end after ``deadline``."""
    seconds: dict[System, list[float]] = {system: [] for system in trainers}
    order = list(trainers)
    for number in range(WARM_UP + rounds):
        round_started = time.monotonic()
        for system in order:
            started = time.perf_counter()
            trainers[system].train_step([batches[number % len(batches)]])
            if trainers[system].cuda:
                torch.cuda.synchronize()
            seconds[system].append(time.perf_counter() - started)
        order = order[1:] + order[:1]
        if number >= WARM_UP and 2 * time.monotonic() - round_started > deadline:
            break
    return {system: taken[WARM_UP:] for system, taken in seconds.items()}


def figures(system: System, trainer: Trainer, seconds: list[float], stock: list[float], tokens: list[int]) -> dict:
    """Return the row of one system from its and stock's seconds and the target tokens of each round."""
    ratios = [other / own for own, other in zip(seconds, stock, strict=True)]
    return {
        "model": system[0],
        "precision": system[1],
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "s/step": round(statistics.median(seconds), 4),
        "target tokens/s": round(statistics.median(n / s for n, s in zip(tokens, seconds, strict=True))),
        "ratio to stock": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f} to {max(ratios):.2f}",
    }


def add_result(run: dict) -> None:
    """Write a run to the results; it replaces the one of the same command."""
    runs = [other for other in read_result("train_speed") or [] if other["command"] != run["command"]] + [run]
    texts = [f"`{each['command']}`: {each['about']}.\n\n{table(each['results'])}" for each in runs]
    write_result("train_speed", runs, [str(__doc__).splitlines()[0], *texts])


def parse_options() -> argparse.Namespace:
    """Return the options; ``--quick`` limits the others."""
    arguments = parser(__doc__)
    arguments.add_argument("--quick", action="store_true", help="stock and two decoders, at most 8 small batches")
    arguments.add_argument("--data", type=Path, help="folder of s2s prepare to take batches from")
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: torch's, all cores")
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--seconds", type=float, default=900, help="no round starts that may end later")
    arguments.add_argument("--sentences", type=int, default=128, help="pairs per batch")
    arguments.add_argument("--width", type=int, default=512)
    arguments.add_argument("--vocabulary", type=int, default=8000, help="tokens that random sentences are drawn from")
    options = arguments.parse_args()
    if options.quick:
        options.rounds, options.seconds = min(options.rounds, 8), min(options.seconds, 25)
        options.sentences = min(options.sentences, 32)
    return options


def main() -> None:
    """Measure the systems in turn and write the results."""
    started = time.monotonic()
    options = parse_options()
    check_device(options.device)
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")  # fairseq calls functions that torch and Hydra deprecate
    torch.set_num_threads(options.threads)

    precisions = ["bf16"] if options.device == "cuda" else ["fp32", "bf16"] if bf16_is_faster_on_cpu() else ["fp32"]
    systems = [(decoder, precision) for precision in precisions for decoder in (STOCK, *DECODERS)]
    base, auto = systems[0], precisions[-1]
    if options.quick:
        systems = [base, ("luong", auto), ("gnmt", auto)]
    recipes = {system: recipe(*system, options.device, options.width) for system in systems}
    with tempfile.TemporaryDirectory() as temporary:
        write_dictionaries(Path(temporary), options.vocabulary)
        data = Path(temporary) if options.data is None else options.data.resolve()
        os.chdir(ROOT)  # where --user-dir s2s_plugin is
        trainers = {system: build(words, data, temporary) for system, words in recipes.items()}
    ours = trainers[systems[-1]].task
    if options.data is None:
        batches = [random_batch(options.sentences, ours.target_dictionary) for _ in range(options.rounds)]
        text = f"{LENGTH} random tokens"
    else:
        batches, text = real_batches(ours, options.rounds, options.sentences), options.data.name

    seconds = measure(trainers, batches, options.rounds, started + options.seconds)
    rounds = len(seconds[base])
    tokens = [batches[number % len(batches)]["ntokens"] for number in range(WARM_UP, WARM_UP + rounds)]
    results = [figures(system, trainers[system], seconds[system], seconds[base], tokens) for system in systems]
    about = (
        f"{setting(options.device, options.threads)}; {rounds} rounds, batches of {options.sentences} pairs of {text}"
    )
    print(f"{about}\n\n{table(results)}")
    if not options.quick:
        command = shlex.join(["python", "bench/train_speed.py", *sys.argv[1:]])
        times = {" ".join(system): [round(s, 4) for s in taken] for system, taken in seconds.items()}
        commands = {" ".join(system): f"fairseq-train DATA {words}" for system, words in recipes.items()}
        add_result({"command": command, "about": about, "results": results, "seconds": times, "recipes": commands})
    best = max(
        (r for r in results if r["model"] != STOCK and r["precision"] == auto), key=lambda r: r["ratio to stock"]
    )
    print(f"train ours/stock = {best['ratio to stock']:.2f} ({best['model']}, {best['precision']})")


if __name__ == "__main__":
    main()
