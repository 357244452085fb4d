"""Every combination of parts trains through fairseq, and writes step by step what it was taught at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from combinations import SIGNAL, SIZES, TEXT, name_of, representative
from command_line import PREPROCESS, ROOT, call, write_reversed
from fairseq import checkpoint_utils
from fairseq.tasks import FairseqTask
from fairseq_cli import generate as fairseq_generate
from fairseq_cli import train as fairseq_train
from media import make_items
from torch.testing import assert_close

from s2s_plugin.datasets.manifest import write_manifest

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of fairseq's use of Hydra

FRONTEND = {
    "audio": "audio.sample_rate=8000 audio.mel_bins=20",
    "video": "video.height=16 video.width=32",
    "image": "image.size=16",
}


QUICK = representative(TEXT)


def slow_unless(quick: bool) -> list[pytest.MarkDecorator]:
    return [] if quick else [pytest.mark.slow]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    write_reversed(folder, {"train": 32, "valid": 4, "test": 6})
    call(f"{PREPROCESS} --trainpref train --validpref valid --testpref test", cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """``signals(modality)``: a prepared folder of 60 files, made when it is first wanted."""
    made: dict[str, Path] = {}

    def prepare(modality: str) -> Path:
        if modality not in made:
            folder = tmp_path_factory.mktemp(modality)
            write_manifest(folder / "my.tsv", modality, make_items(folder / "media", modality, 60))
            app = {"audio": "asr", "video": "lipread", "image": "caption"}[modality]
            call(
                f"s2s prepare app={app} data=manifest data.manifest={folder}/my.tsv data.held_out=6 subword.kind=word "
                f"prepared_dir={folder}/bin {FRONTEND[modality]}"
            )
            made[modality] = next((folder / "bin").glob("*/source.json")).parent
        return made[modality]

    return prepare


@pytest.fixture
def train(tmp_path, monkeypatch, old_hydra):
    """``train(data, options)``: two updates and a search with beam 3 by fairseq's own mains; the model and its task."""

    def main(module, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["fairseq", *words])
        module.cli_main()

    def train(data: Path, options: dict):
        common = [str(data), "--user-dir", str(ROOT / "s2s_plugin"), "--task", "s2s", "--cpu", "--num-workers", "0"]
        smoothing = "0.0" if "adaptive_cutoffs" in options else "0.1"
        words = [*common, "--arch", "s2s", "--criterion", "s2s_cross_entropy", "--label-smoothing", smoothing]
        words += ["--optimizer", "adam", "--lr", "0.01", "--batch-size", "16", "--max-update", "2"]
        words += ["--save-dir", str(tmp_path), "--no-epoch-checkpoints", "--disable-validation"]
        if options.get("ctc"):
            words += ["--ctc-weight", "0.3"]
        for key, value in (SIZES | options).items():
            flag = "--" + key.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
        main(fairseq_train, *words)
        path = tmp_path / "checkpoint_last.pt"
        main(fairseq_generate, *common, "--path", str(path), "--beam", "3", "--max-len-b", "8", "--batch-size", "4")
        models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(path)], {"data": str(data)})
        return models[0].eval(), task

    return train


@torch.no_grad()
def check_steps(model, task: FairseqTask) -> None:
    """Step by step equals all at once, on the test set in one padded batch."""
    task.load_dataset("test")
    dataset = task.dataset("test")
    inputs = dataset.collater([dataset[i] for i in range(len(dataset))])["net_input"]
    previous = inputs["prev_output_tokens"]
    at_once, extra = model(**inputs)
    memory = model.encode(inputs["src_tokens"], inputs["src_lengths"])
    decoder, state = model.decoder, model.decoder.rnn.initial_state(memory)
    for t in range(previous.size(1)):
        state, features, weights = decoder.rnn.step(decoder.embedding(previous[:, t]), state, memory)
        scores = decoder.generator(features, weights, memory)
        assert_close(scores.log_softmax(-1), at_once[:, t].log_softmax(-1), rtol=0, atol=1e-5)
        assert_close(weights, extra["attn"][0][:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [pytest.param(options, id=name_of(options), marks=slow_unless(options in QUICK)) for options in TEXT],
)
def test_text(text: Path, train, capsys, options: dict):
    model, task = train(text, options)
    check_steps(model, task)
    assert capsys.readouterr().out.count("\nH-") == len(task.dataset("test")) == 6


@pytest.mark.parametrize(
    ("modality", "number"),
    [
        pytest.param(modality, number, id=f"{modality}-{name_of(options)}", marks=slow_unless(number % 3 == place))
        for place, modality in enumerate(FRONTEND)
        for number, options in enumerate(SIGNAL)
    ],
)
def test_signals(signals, train, capsys, modality: str, number: int):
    options = SIGNAL[number]
    model, task = train(signals(modality), options)
    check_steps(model, task)
    assert capsys.readouterr().out.count("\nH-") == len(task.dataset("test")) > 1


def test_there_are_at_least_sixty():
    assert len({name_of(options) for options in TEXT}) >= 60
