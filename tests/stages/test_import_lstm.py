"""A checkpoint of fairseq's own ``lstm`` becomes one of ours, with the same scores and hypotheses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from command_line import call
from fairseq import checkpoint_utils
from torch.testing import assert_close

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.importing import lstm
from s2s_plugin.stages.importing.lstm import convert
from s2s_plugin.tasks.loading import load_dictionary

STOCK = (
    "fairseq-train {data} --task translation --arch lstm --cpu --optimizer adam --lr 0.01 --max-tokens 1000 "
    "--max-update 12 --save-dir {out} --no-epoch-checkpoints --num-workers 0 --disable-validation "
    "--encoder-embed-dim 12 --decoder-embed-dim 12 --encoder-hidden-size 16 --criterion "
)
GENERATE = (  # without our plugin, today's torch would not load the stock checkpoint
    "fairseq-generate {data} --cpu --user-dir s2s_plugin --path {path} --beam 4 --nbest 2 --batch-size 5 "
    "--required-batch-size-multiple 1 --task "
)
KINDS = {
    "both ways, two layers, bridge": "cross_entropy --encoder-bidirectional --encoder-layers 2 --decoder-layers 2 "
    "--decoder-hidden-size 20 --decoder-out-embed-dim 14",
    "one way, no bridge": "cross_entropy --decoder-hidden-size 16 --decoder-out-embed-dim 16",
    "tied": "label_smoothed_cross_entropy --encoder-bidirectional --decoder-hidden-size 32 --decoder-out-embed-dim 12 "
    "--share-decoder-input-output-embed",
    "one table": "cross_entropy --decoder-hidden-size 16 --decoder-out-embed-dim 12 --share-all-embeddings",
    "without attention": "cross_entropy --decoder-hidden-size 20 --decoder-out-embed-dim 20 --decoder-attention False",
}


# Equal logits are shown for each kind, what follows from them for two.
TWO_OR_ALL = [pytest.param(kind, marks=[pytest.mark.slow] if number > 1 else []) for number, kind in enumerate(KINDS)]


@pytest.fixture(scope="module")
def both(request, toy: Path, tmp_path_factory) -> tuple[Path, Path]:
    """A stock checkpoint of a kind, and ours."""
    out = tmp_path_factory.mktemp("stock")
    call(STOCK.format(data=toy, out=out) + KINDS[request.param])
    path = out / "checkpoint_last.pt"
    said = call(f"s2s import-lstm {path}").stdout
    assert said.startswith(f"{out}/checkpoint_last.s2s.pt: ")
    return path, out / "checkpoint_last.s2s.pt"


@pytest.mark.parametrize("both", KINDS, indirect=True)
@torch.no_grad()
def test_logits_are_equal(both: tuple[Path, Path], toy: Path):
    logits, masks = [], []
    for path, left in zip(both, (True, False), strict=True):  # stock pads on the left
        models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(path)], {"data": str(toy)})
        task.load_dataset("test")
        dataset = task.dataset("test")
        batch = dataset.collater([dataset[i] for i in range(len(dataset))])
        order = batch["id"].argsort()
        assert batch["net_input"]["src_tokens"][:, 0].eq(task.source_dictionary.pad()).any() == left
        logits.append(models[0].eval()(**batch["net_input"])[0][order])
        masks.append(batch["target"][order].ne(task.target_dictionary.pad()))
    assert torch.equal(*masks)
    assert_close(logits[0][masks[0]], logits[1][masks[1]], rtol=0, atol=1e-5)


def hypotheses(output: str) -> dict[int, list[tuple[str, float]]]:
    found: dict[int, list] = {}
    for number, score, text in re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", output, re.MULTILINE):
        found.setdefault(int(number), []).append((text, pytest.approx(float(score), abs=1e-4)))
    return found


@pytest.mark.parametrize("both", TWO_OR_ALL, indirect=True)
def test_hypotheses_are_equal(both: tuple[Path, Path], toy: Path):
    stock = call(GENERATE.format(data=toy, path=both[0]) + "translation").stdout
    ours = call(GENERATE.format(data=toy, path=both[1]) + "s2s --search-patience 1").stdout
    assert len(hypotheses(stock)) == 13
    assert hypotheses(ours) == hypotheses(stock)


@pytest.mark.parametrize("both", TWO_OR_ALL, indirect=True)
def test_training_goes_on(both: tuple[Path, Path], toy: Path, tmp_path: Path):
    log = call(
        f"fairseq-train {toy} --user-dir s2s_plugin --task s2s --arch s2s --cpu --finetune-from-model {both[1]} "
        f"--optimizer adam --lr 0.001 --max-tokens 1000 --max-update 2 --num-workers 0 --disable-validation "
        f"--save-dir {tmp_path} --no-epoch-checkpoints " + _flags(both[1])
    )
    assert (tmp_path / "checkpoint_last.pt").is_file(), log.stderr


def _flags(path: Path) -> str:
    """The model's options, as the command line wants them."""
    model = torch.load(path, weights_only=True)["cfg"]["model"]
    words = []
    for key, value in model.items():
        if key not in ("_name", "max_source_positions", "max_target_positions") and value not in (False, ""):
            words.append("--" + key.replace("_", "-") + ("" if value is True else f" {value}"))
    return " ".join(words)


@pytest.mark.parametrize("both", KINDS, indirect=True)
def test_a_run_has_the_same_model(both: tuple[Path, Path], toy: Path, tmp_path: Path, capsys):
    lstm.run([str(both[0]), str(tmp_path / "old"), "--data", str(toy)])
    assert "a model of fairseq, src to tgt" in capsys.readouterr().out
    run = RunDir(tmp_path / "old")
    weights, expected = (torch.load(path, weights_only=True)["model"] for path in (run.best_checkpoint(), both[1]))
    assert weights.keys() == expected.keys() and all(torch.equal(weights[name], expected[name]) for name in weights)
    for language in ("src", "tgt"):
        assert load_dictionary(run.data, language).symbols == load_dictionary(toy, language).symbols
    assert len(s2s_plugin.load(tmp_path / "old").translate(["a b c"])) == 1


def test_another_architecture_is_named(trained: Path, toy: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"architecture lstm, got s2s.*; it is one of this plugin already"):
        convert(trained, tmp_path / "out.pt")
    transformer = STOCK.replace("--arch lstm", "--arch transformer_tiny").split(" --encoder-embed-dim")[0]
    call(transformer.format(data=toy, out=tmp_path).replace("--max-update 12", "--max-update 1"))
    with pytest.raises(UserError, match=r"architecture lstm, got transformer_tiny; .*fairseq-generate"):
        convert(tmp_path / "checkpoint_last.pt", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.slow
def test_mistakes_are_one_line(trained: Path, toy: Path, tmp_path: Path):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no checkpoint")
    for words, message in (
        (f"{tmp_path}/none.pt", "no such file"),
        (str(broken), "not a fairseq checkpoint, or a damaged one"),
        (str(trained), "expected a checkpoint of the architecture lstm"),
        (f"{trained} {broken}", "exists"),
    ):
        done = call(f"s2s import-lstm {words}", check=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and message in done.stderr, done.stderr
