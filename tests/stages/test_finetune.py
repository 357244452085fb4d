"""``finetune_from=RUN``: with the model and the vocabulary of another run, on data with letters it has not seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call, write_reversed
from media import make_items

from s2s_plugin.criterions.consolidation import Consolidation
from s2s_plugin.datasets.manifest import write_manifest

BASE = (
    "app=nmt name=base data=files data.source=base.en data.target=base.de model=tiny model.share_all_embeddings=true "
    "subword.size=40 dataset.max_tokens=500 optimization.max_update=60 optimization.lr=[0.01] "
    "lr_scheduler.warmup_updates=20 checkpoint_metric=loss ema.store_ema=false"
)
NEW = "app=nmt checkpoint_metric=loss data=files data.source=new.en data.target=new.de optimization.max_update=2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run ``base``, and other files ``new.en`` and ``new.de``: some of their letters it has not seen."""
    folder = tmp_path_factory.mktemp("finetune")
    write_reversed(folder, {"base": 400, "new": 200}, ("en", "de"), upper=True)
    for lang, old, new in (("en", "a", "ö"), ("de", "A", "Ö")):
        path = folder / f"new.{lang}"
        path.write_text(path.read_text().replace(old, new), encoding="utf-8")
    call(f"s2s prepare {BASE}", cwd=folder)
    call(f"s2s train {BASE}", cwd=folder)
    return folder


def prepared(folder: Path, name: str) -> Path:
    """The data of a run."""
    return folder / json.loads((folder / "runs/nmt" / name / "settings.json").read_text())["task.data"]


def state(folder: Path, name: str) -> dict:
    """The last checkpoint of a run."""
    return torch.load(folder / f"runs/nmt/{name}/checkpoints/checkpoint_last.pt", weights_only=True)


def test_it_goes_on_with_model_and_vocabulary(folder: Path):
    command = f"s2s run {NEW} name=tuned finetune_from=base model.dropout=0.3"
    done = call(command, cwd=folder)
    assert "en: 11 % of the tokens are unknown" in done.stderr and done.stderr.count(": ö\n") == 1
    before, after = prepared(folder, "base"), prepared(folder, "tuned")
    assert before != after
    for name in ("codec.json", "spm.model", "dict.en.txt", "dict.de.txt"):
        assert (after / name).read_bytes() == (before / name).read_bytes()
    assert state(folder, "tuned")["cfg"]["model"] == {**state(folder, "base")["cfg"]["model"], "dropout": 0.3}

    call(f"s2s prepare {NEW} subword.size=40", cwd=folder)
    call(f"s2s train {NEW} name=scratch model=tiny subword.size=40", cwd=folder)
    losses = [state(folder, name)["extra_state"]["val_loss"] for name in ("tuned", "scratch")]
    assert losses[0] < losses[1] - 1  # after two updates
    rows = (folder / "runs/nmt/tuned/outputs.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == len((after / "text/test.en").read_text(encoding="utf-8").splitlines())

    again = call(command.replace("=base", f"={folder}/runs/nmt/base/"), cwd=folder)
    assert again.stderr.count("up to date, skipping") == 3
    assert len(call("s2s translate app=nmt name=tuned", cwd=folder, stdin="a b ö\n").stdout.splitlines()) == 1

    longer = call(f"{command} optimization.max_update=4".replace("s2s run", "s2s train"), cwd=folder)
    assert "continues after 2 updates" in longer.stderr
    trained = json.loads((folder / "runs/nmt/tuned/trained.json").read_text())
    base, tuned = (state(folder, name)["extra_state"]["previous_training_time"] for name in ("base", "tuned"))
    assert trained["updates"] == 4 and trained["seconds"] == round(tuned - base)


def test_pretrained_vectors_come_from_the_checkpoint(folder: Path):
    """Not from their file, which may be gone; what was frozen stays frozen."""
    letters = "abcdefgh"
    (folder / "vectors.txt").write_text("".join(f"▁{a} " + "0.5 " * 31 + f"{n}.0\n" for n, a in enumerate(letters)))
    separate = BASE.replace("name=base", "name=pretrained").replace("_embeddings=true", "_embeddings=false")
    vectors = "model.encoder_embed_path=vectors.txt model.freeze_embeddings=true"
    call(f"s2s train {separate.replace('max_update=60', 'max_update=5')} {vectors}", cwd=folder)
    (folder / "vectors.txt").unlink()
    call(f"s2s prepare {NEW} name=moved finetune_from=pretrained", cwd=folder)
    call(f"s2s train {NEW} name=moved finetune_from=pretrained", cwd=folder)
    weights = [state(folder, name)["model"] for name in ("pretrained", "moved")]
    same = {name: torch.equal(value, weights[1][name]) for name, value in weights[0].items()}
    assert weights[0]["encoder.embedding.table.weight"][:, 0].eq(0.5).sum() == len(letters)
    assert same["encoder.embedding.table.weight"] and not same["decoder.embedding.table.weight"]


MISTAKES = {
    "no such run": ("finetune_from=bsae", ("bsae", "no run", "runs/nmt/bsae")),
    "no checkpoint": ("finetune_from=empty", ("runs/nmt/empty/checkpoints", "no checkpoint")),
    "itself": ("finetune_from=base name=base", ("is this run itself", "name=")),
    "other languages": ("data.source=new.de data.target=new.en", ("from en to de", "from de to en")),
    "another model": ("model.decoder_hidden_size=32", ("decoder_hidden_size=64 of base, got 32", "leave")),
    "another preset": ("model=luong", ("model.", "of base, got", "leave model.")),
    "another vocabulary": ("subword.size=41", ("subword.size=40 of base, got 41", "leave subword.size out")),
    "a list": ("\"subword.special_tokens=['<new>']\"", ('subword.special_tokens=[] of base, got ["<new>"]', "leave")),
    "no moving average": ("ema.store_ema=true", ("base has no EMA weights", "ema.store_ema=false")),
    "another's vocabulary": (
        "finetune_from=null model=tiny model.share_all_embeddings=true subword.size=40 "
        "checkpoint.finetune_from_model=runs/nmt/base/checkpoints/checkpoint_best.pt",
        ("checkpoint_best.pt has another model or vocabulary", "finetune_from=RUN"),
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(folder: Path, case: str):
    overrides, named = MISTAKES[case]
    (folder / "runs/nmt/empty").mkdir(exist_ok=True)
    shutil.copy(folder / "runs/nmt/base/config.yaml", folder / "runs/nmt/empty")
    before = set(folder.rglob("*.pt"))
    done = call(f"s2s run {NEW} finetune_from=base name=mistaken {overrides}", cwd=folder, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("s2s: error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(word in errors[0] for word in named), errors[0]
    assert set(folder.rglob("*.pt")) == before


@pytest.mark.slow
def test_speech_keeps_frontend_and_letters(tmp_path: Path):
    for name, seed in (("base", 1), ("new", 2)):
        write_manifest(tmp_path / f"{name}.tsv", "audio", make_items(tmp_path / name, "audio", 40, seed))
    tiny = "app=asr data=manifest dataset.max_tokens=2000 optimization.max_update=2"
    base = (
        f"{tiny} name=base data.manifest=base.tsv model=tiny model.encoder_channels=4 model.ctc=true audio.mel_bins=20"
    )
    new = f"{tiny} name=new data.manifest=new.tsv finetune_from=base"
    for overrides in (base, new):
        call(f"s2s prepare {overrides}", cwd=tmp_path)
        call(f"s2s train {overrides}", cwd=tmp_path)
    data = [tmp_path / json.loads((tmp_path / f"runs/asr/{name}/settings.json").read_text())["task.data"]
            for name in ("base", "new")]  # fmt: skip
    assert [json.loads((path / "source.json").read_text())["frontend"]["mel_bins"] for path in data] == [20, 20]
    assert (data[0] / "dict.text.txt").read_bytes() == (data[1] / "dict.text.txt").read_bytes()
    done = call("s2s transcribe new/1.wav name=new", cwd=tmp_path)
    assert done.stdout.startswith("new/1.wav\t")


@pytest.mark.slow  # three trainings
def test_consolidation_keeps_the_weights_that_matter(folder: Path):
    options = "finetune_from=base criterion=s2s_cross_entropy optimization.max_update=25 lr_scheduler.warmup_updates=1"
    call(f"s2s prepare {NEW} finetune_from=base", cwd=folder)
    for name, weight in (("free", ""), ("kept", "criterion.ewc=10")):
        call(f"s2s train {NEW} {options} name={name} {weight}", cwd=folder)
    fisher = folder / "runs/nmt/kept/fisher.pt"
    penalty = Consolidation.load(fisher)
    assert not (folder / "runs/nmt/free/fisher.pt").exists()

    def moved(name: str) -> float:
        weights = state(folder, name)["model"]
        return sum(
            float((penalty.fisher[n] * (weights[n] - before) ** 2).sum()) for n, before in penalty.weights.items()
        )

    assert 0 < moved("kept") < moved("free") / 2
    made = fisher.stat().st_mtime_ns
    call(f"s2s train {NEW} {options} name=kept criterion.ewc=10 optimization.max_update=26", cwd=folder)
    assert fisher.stat().st_mtime_ns == made  # of the run before, not of this one so far
