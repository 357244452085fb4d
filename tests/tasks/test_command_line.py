"""fairseq's own commands with our plugin, and the traps that fairseq sets there."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
import torch
from command_line import GENERATE, PREPROCESS, ROOT, TRAIN, call, write_reversed

import s2s_plugin
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig


def hypotheses(output: str) -> dict[int, str]:
    return {int(n): text for n, text in re.findall(r"^D-(\d+)\t\S+\t(.*)$", output, re.MULTILINE)}


def scores(output: str) -> dict[int, float]:
    return {int(n): float(score) for n, score in re.findall(r"^H-(\d+)\t(\S+)\t", output, re.MULTILINE)}


def references(output: str) -> dict[int, str]:
    return {int(n): text for n, text in re.findall(r"^T-(\d+)\t(.*)$", output, re.MULTILINE)}


def losses(log: str) -> list[float]:
    """Training losses in a ``--log-format json`` log."""
    return [float(loss) for loss in re.findall(r'"(?:train_)?loss": "([\d.]+)"', log)]


@pytest.fixture(scope="module")
def generated(toy: Path, trained: Path) -> str:
    return call(GENERATE.format(data=toy, path=trained) + " --scoring s2s_bleu").stdout


def test_learns_the_toy_task(generated: str):
    right = sum(hypotheses(generated)[n] == reference for n, reference in references(generated).items())
    assert right >= 11, f"{right} of 13 test items reversed"


def test_every_item_gets_a_hypothesis(generated: str):
    """fairseq's default --required-batch-size-multiple 8 drops the last 5 of 13."""
    assert sorted(hypotheses(generated)) == list(range(13))


def test_scorer_prints_its_signature(generated: str):
    assert re.search(r"Generate test with beam=5: BLEU = [\d.]+ .*nrefs:1\|case:mixed\|eff:no\|tok:13a", generated)


def test_checkpoint_holds_plain_data(trained: Path):
    assert torch.serialization.get_unsafe_globals_in_checkpoint(str(trained)) == []
    state = torch.load(trained, weights_only=True)
    assert state["cfg"]["model"]["_name"].startswith("s2s")


def test_bleu_in_the_loop_chooses_the_best(trained: Path):
    state = torch.load(trained, weights_only=True)
    assert state["extra_state"]["best"] == state["extra_state"]["val_loss"] > 80


def test_old_pickled_checkpoint_loads(toy: Path, tmp_path: Path):
    """A stock LSTM's checkpoint holds argparse.Namespace, and numpy numbers where BLEU was in the loop."""
    call(
        f"fairseq-train {toy} --task translation --arch lstm --cpu --encoder-embed-dim 16 --encoder-hidden-size 16 "
        f"--decoder-embed-dim 16 --decoder-hidden-size 16 --decoder-out-embed-dim 16 --optimizer adam --lr 0.001 "
        f"--max-tokens 1000 --max-update 2 --eval-bleu --save-dir {tmp_path} --no-epoch-checkpoints --num-workers 0"
    )
    path = tmp_path / "checkpoint_last.pt"
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    assert isinstance(torch.load(path, weights_only=True)["cfg"]["model"], argparse.Namespace), unsafe
    output = call(
        f"fairseq-generate {toy} --user-dir s2s_plugin --task translation --cpu --path {path} --beam 1"
    ).stdout
    assert "Generate test with beam=1" in output


@pytest.mark.parametrize("options", ["--batch-size 1", "--batch-size 4", "--max-tokens 12", "--num-shards 1"])
def test_batching_does_not_change_a_hypothesis(toy: Path, trained: Path, generated: str, options: str):
    output = call(GENERATE.format(data=toy, path=trained) + f" {options}").stdout
    assert hypotheses(output) == hypotheses(generated)
    assert scores(output) == pytest.approx(scores(generated), abs=1e-4)


@pytest.mark.slow
def test_shards_make_the_whole(toy: Path, trained: Path, generated: str):
    """Each item once, which is not so with fairseq's own tasks."""
    command = GENERATE.format(data=toy, path=trained) + " --batch-size 5 --num-shards 3"
    outputs = [call(f"{command} --shard-id {number}").stdout for number in range(3)]
    parts = [hypotheses(output) for output in outputs]
    assert [len(part) for part in parts] == [5, 5, 3]
    assert {number: text for part in parts for number, text in part.items()} == hypotheses(generated)
    found = {number: score for output in outputs for number, score in scores(output).items()}
    assert found == pytest.approx(scores(generated), abs=1e-4)
    for options, said in {
        "--shard-id 3": "dataset.shard_id must be in [0, dataset.num_shards=3), got 3",
        "--batch-size 9": "dataset.num_shards must be at most the number of batches, 2, got 3",
    }.items():
        assert said in call(f"{command} {options}", check=False).stderr


def test_interactive_equals_generate(toy: Path, trained: Path, generated: str):
    lines = (toy.parent / "test.src").read_text()
    command = GENERATE.replace("fairseq-generate", "fairseq-interactive").format(data=toy, path=trained)
    output = call(command + " --buffer-size 5 --max-tokens 100", stdin=lines).stdout
    assert hypotheses(output) == hypotheses(generated)
    assert scores(output) == pytest.approx(scores(generated), abs=1e-4)


def test_score_reference_equals_validation_loss(toy: Path, trained: Path):
    """--score-reference goes through fairseq's scorer; its sum is the loss that fairseq-validate reports."""
    output = call(GENERATE.format(data=toy, path=trained) + " --gen-subset valid --score-reference").stdout
    values = [float(value) for line in re.findall(r"^P-\d+\t(.*)$", output, re.MULTILINE) for value in line.split()]
    command = f"fairseq-validate {toy} --user-dir s2s_plugin --task s2s --cpu --path {trained} --max-tokens 1000"
    report = call(command)
    loss = float(re.search(r"nll_loss ([\d.]+)", report.stdout + report.stderr)[1])
    assert -sum(values) / len(values) == pytest.approx(loss, abs=2e-3)


def test_incremental_equals_full_decoding(toy: Path, trained: Path, generated: str):
    """The scores that search found step by step are those of teacher forcing on what it found."""
    text = (toy.parent / "test.src").read_text().splitlines()
    from fairseq import checkpoint_utils

    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(trained)])
    model.eval()
    for number, score in scores(generated).items():
        source = task.source_dictionary.encode_line(text[number], add_if_not_exist=False).long()
        target = task.target_dictionary.encode_line(hypotheses(generated)[number], add_if_not_exist=False).long()
        previous = torch.cat((target[-1:], target[:-1]))
        logits, _ = model(source[None], torch.tensor([len(source)]), previous[None])
        lprobs = logits[0].log_softmax(-1).gather(1, target[:, None])
        assert lprobs.mean().item() / 0.6931471805599453 == pytest.approx(score, abs=1e-3)


def test_bf16_weights_train_on_cpu(toy: Path, tmp_path: Path):
    """--bf16 of fairseq-train means a TPU (options.py); common.bf16=true of its Hydra command does not."""
    config = {
        "common": {"user_dir": str(ROOT / "s2s_plugin"), "cpu": True, "bf16": True, "log_format": "json"},
        "task": {"_name": "s2s", "data": str(toy), "eval_metric": "bleu"},
        "model": {"_name": "s2s", "encoder_embed_dim": 16, "decoder_embed_dim": 16, "encoder_hidden_size": 16,
                  "decoder_hidden_size": 16},
        "criterion": {"_name": "cross_entropy"},
        "optimizer": {"_name": "adam"},
        "lr_scheduler": {"_name": "fixed"},
        "optimization": {"lr": [0.005], "max_update": 20},
        "dataset": {"max_tokens": 1000, "num_workers": 0},
        "checkpoint": {"save_dir": str(tmp_path / "checkpoints"), "no_epoch_checkpoints": True},
    }  # fmt: skip
    (tmp_path / "bf16.yaml").write_text(json.dumps(config))
    call(f"fairseq-hydra-train --config-dir {tmp_path} --config-name bf16 hydra.run.dir={tmp_path}", cwd=tmp_path)
    state = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pt", weights_only=True)
    weights = state["model"]["decoder.generator.output.weight"].float()
    assert torch.equal(weights, weights.bfloat16().float())
    output = call(GENERATE.format(data=toy, path=tmp_path / "checkpoints" / "checkpoint_best.pt")).stdout
    assert sorted(hypotheses(output)) == list(range(13))


@pytest.mark.slow
def test_both_architectures_train(toy: Path, tmp_path: Path):
    for arch in ("s2s", "s2s_tiny"):
        command = TRAIN.replace("s2s_tiny", arch).format(data=toy, save_dir=tmp_path / arch) + " --max-update 2"
        assert losses(call(command).stdout), arch
        path = tmp_path / arch / "checkpoint_last.pt"
        assert torch.serialization.get_unsafe_globals_in_checkpoint(str(path)) == []


def test_trains_on_binaries_that_are_not_mapped(tmp_path: Path):
    """Items are those of the text, in every worker."""
    write_reversed(tmp_path, {"train": 300, "valid": 20})
    call(f"{PREPROCESS} --trainpref train --validpref valid --dataset-impl lazy", cwd=tmp_path)
    command = TRAIN.replace("--num-workers 0", "--num-workers 2").format(data=tmp_path / "bin", save_dir=tmp_path)
    assert losses(call(f"{command} --dataset-impl lazy --max-update 2 --no-save").stdout)
    task = Seq2SeqTask.setup_task(Seq2SeqTaskConfig(data=str(tmp_path / "bin"), seed=1))
    task.load_dataset("train")
    for number, line in enumerate((tmp_path / "train.tgt").read_text().splitlines()):
        assert task.target_dictionary.string(task.dataset("train")[number]["target"]) == line


def test_training_continues_where_it_stopped(toy: Path, tmp_path: Path):
    """30 updates at once, and 8, then 18, then 30, stopped within epochs, end with the same weights."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    call(TRAIN.format(data=toy, save_dir=whole) + " --max-update 30 --dropout 0.2")
    for updates in (8, 18, 30):
        call(TRAIN.format(data=toy, save_dir=parts) + f" --max-update {updates} --dropout 0.2")
    weights = [torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"] for folder in (whole, parts)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_plugin_imported_from_two_places_is_one(toy: Path, trained: Path, tmp_path: Path):
    """--user-dir with another spelling of the installed package's path."""
    output = call(GENERATE.replace("s2s_plugin", f"{tmp_path}/../{tmp_path.name}/link").format(data=toy, path=trained),
                  check=False)  # fmt: skip
    assert output.returncode != 0  # no such folder: named, not half-imported
    folder = Path(s2s_plugin.__file__).parent
    assert hypotheses(call(GENERATE.replace("s2s_plugin", str(folder)).format(data=toy, path=trained)).stdout)


def test_our_criterion_trains_other_architectures(toy: Path, tmp_path: Path):
    """What it asks of our models alone, it asks only where an option wants it."""
    command = TRAIN.replace("--arch s2s_tiny", "--arch transformer --encoder-layers 1 --decoder-layers 1")
    command = command.replace("label_smoothed_cross_entropy", "s2s_cross_entropy").format(data=toy, save_dir=tmp_path)
    call(f"{command} --encoder-embed-dim 16 --decoder-embed-dim 16 --max-update 2 --disable-validation")
    assert (tmp_path / "checkpoint_last.pt").is_file()
