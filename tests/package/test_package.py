"""A run as one file: it does what the run does, in commands and in Python, without the run's folder and data."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import call

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.archive import WEIGHTS, PackageFile
from s2s_plugin.package.unpack import LOCK, PREFIX, unpack_here
from s2s_plugin.stages.export.card import model_card
from s2s_plugin.stages.schema import load_config

LINES = ["a b c", "d e f g", "h g", "c c d"]


@pytest.fixture(scope="module")
def exported(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file in each precision, in a folder that has nothing else."""
    folder = tmp_path_factory.mktemp("exported")
    files = {precision: folder / f"{precision}.s2s" for precision in ("fp32", "bf16", "int8")}
    for precision, file in files.items():
        call(f"s2s export runs/nmt/default --precision {precision} --to {file}", cwd=small_model)
    return files


@pytest.fixture(scope="module")
def model(exported: dict[str, Path]) -> s2s_plugin.Model:
    return s2s_plugin.load(exported["fp32"])


def test_the_file_does_what_the_run_does(small_model: Path, exported: dict[str, Path], model: s2s_plugin.Model):
    run = s2s_plugin.load(small_model / "runs/nmt/default")
    for options in ({}, {"beam": 2, "lenpen": 0.5}, {"sampling": True, "seed": 7, "beam": 1}):
        assert model.translate(LINES, **options) == run.translate(LINES, **options)
    stdin = "".join(f"{line}\n" for line in LINES)
    folder = exported["fp32"].parent
    assert call("s2s translate model=fp32.s2s", cwd=folder, stdin=stdin).stdout.splitlines() == model.translate(LINES)
    assert sorted(path.name for path in folder.iterdir()) == ["bf16.s2s", "fp32.s2s", "int8.s2s"]


def test_smaller_files_are_near(exported: dict[str, Path], model: s2s_plugin.Model):
    sizes = [exported[precision].stat().st_size for precision in ("fp32", "bf16", "int8")]
    assert sizes == sorted(sizes, reverse=True)
    scores = [[output.score for (output,) in model.outputs(LINES)]]
    scores += [[output.score for (output,) in s2s_plugin.load(file).outputs(LINES)] for file in exported.values()]
    assert np.abs(np.array(scores) - scores[0]).max() < 0.05


def test_two_exports_are_the_same_bytes(small_model: Path, exported: dict[str, Path], tmp_path: Path):
    call(f"s2s export runs/nmt/default --to {tmp_path / 'again.s2s'}", cwd=small_model)
    assert (tmp_path / "again.s2s").read_bytes() == exported["fp32"].read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_verify(exported: dict[str, Path], precision: str, tmp_path: Path):
    shutil.copy(exported[precision], tmp_path / "mine.s2s")
    said = call("s2s verify mine.s2s", cwd=tmp_path).stdout
    assert said == f"mine.s2s: nmt, en to de, {precision}; 10 examples have the expected outputs\n"


def test_outputs_have_what_there_is_to_know(model: s2s_plugin.Model):
    ((first, second),) = model.outputs(["a b c"], nbest=2, attention=True)
    assert first.score >= second.score and 0 < first.confidence <= 1
    assert len(first.tokens) == len(first.probabilities) and first.tokens[-1] == "</s>"
    assert first.attention is not None and first.attention.shape == (len(first.tokens), len(first.source_tokens))
    assert np.allclose(first.attention.sum(1), 1, atol=1e-4)
    assert first.alignment == first.attention.argmax(1).tolist()
    assert model.outputs(["a b c"])[0][0].attention is None


def test_words_that_an_output_must_contain(model: s2s_plugin.Model):
    (output,), _ = model.outputs(["a b c", "d e"], constraints=[["H"], []])
    assert "H" in output.text.split()


def test_a_stream_of_any_length(model: s2s_plugin.Model):
    outputs = model.stream(f"{LINES[number % 4]}\n" for number in range(10**9))
    expected = model.translate(LINES)
    assert [next(outputs) for _ in range(70)] == [expected[number % 4] for number in range(70)]


def test_threads_get_their_own_outputs(model: s2s_plugin.Model):
    expected, results = {beam: model.translate(LINES, beam=beam) for beam in (1, 3)}, {}

    def use(number: int) -> None:
        results[number] = model.translate(LINES, beam=1 + 2 * (number % 2))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: expected[1 + 2 * (number % 2)] for number in range(8)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bem": 3}, "bem is no option of the search; did you mean beam?"),
        ({"beam": "many"}, "generation.beam"),
        ({"temperature": 0.0}, "generation.temperature must be positive, got 0"),
        ({"nbest": 9}, "nbest"),
        ({"nbest": 0}, "nbest must be at least 1, got 0"),
        ({"prefix": []}, "expected prefix of 1 inputs, got 0"),
        ({"constraints": [["H"], []]}, "expected constraints of 1 inputs, got 2"),
    ],
)
def test_a_wrong_option_is_named(model: s2s_plugin.Model, options: dict, said: str):
    with pytest.raises(UserError, match=said):
        model.translate("a b", **options)


def test_a_wrong_input_is_named(model: s2s_plugin.Model):
    with pytest.raises(UserError, match="this model reads text, got a ndarray"):
        model.translate(np.zeros(3))
    with pytest.raises(UserError, match="outputs requires a list of inputs, got one str"):
        model.outputs("a b")
    with pytest.raises(UserError, match=r"absent\.s2s: no such packaged model"):
        s2s_plugin.load("absent.s2s")
    with pytest.raises(UserError, match=r"a model is a file that ends with \.s2s, or the folder of a run"):
        s2s_plugin.load("/")
    with pytest.raises(UserError, match="device must be cpu or cuda, got gpu"):
        s2s_plugin.load(model.run.folder, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device=cuda requires a GPU that torch can use"):
            s2s_plugin.load(model.run.folder, device="cuda")


def test_what_a_killed_process_has_left_goes(
    exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = unpack_here(exported["fp32"]).folder.parent
    for name in ("abandoned", "young"):
        (tmp_path / f"{PREFIX}{name}").mkdir()
        (tmp_path / f"{PREFIX}{name}" / LOCK).touch()
    for folder in (here, tmp_path / f"{PREFIX}abandoned"):
        os.utime(folder, (0, 0))
    other = unpack_here(exported["fp32"]).folder.parent
    assert set(tmp_path.iterdir()) == {here, other, tmp_path / f"{PREFIX}young"}


def test_it_is_trained_on_from_the_file(exported: dict[str, Path], small_settings: str, tmp_path: Path):
    data = " ".join(word for word in small_settings.split() if word.startswith(("app=", "data")))
    shutil.copy(exported["fp32"], tmp_path / "mine.s2s")
    tune = f"{data} name=tuned finetune_from=mine.s2s optimization.max_update=2 workers=1 checkpoint_metric=loss"
    call(f"s2s prepare {tune}", cwd=tmp_path)
    call(f"s2s train {tune}", cwd=tmp_path)
    assert (tmp_path / "runs/nmt/tuned/checkpoints/checkpoint_last.pt").is_file()
    assert len(list(tmp_path.glob("data-bin/packages/mine.*"))) == 1


def test_the_card_says_what_it_is(exported: dict[str, Path]):
    with PackageFile(exported["fp32"]) as file:
        card, about = file.read("README.md").decode(), file.about
    assert about["languages"] == ["en", "de"] and about["modality"] == "text"
    assert "pipeline_tag: translation" in card and "| license of the data |" in card
    assert "nrefs:1" in card  # the scores' signature


def test_a_card_of_odd_names_and_of_a_picture(exported: dict[str, Path], small_model: Path):
    run = RunDir(small_model / "runs/nmt/default")
    with PackageFile(exported["fp32"]) as file:
        about, weights = file.about | {"modality": "image"}, file.read(WEIGHTS)
    cfg = load_config(run.config)
    cfg.name = cfg.data.name = "a: b # c"
    card = model_card(run, cfg, about, [], weights)
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["datasets"] == ["a: b # c"] and front["model-index"][0]["name"] == "nmt-a: b # c"
    assert 'model.translate("my.jpg")' in card


def test_no_path_of_this_machine_is_in_it(exported: dict[str, Path], small_model: Path):
    with PackageFile(exported["fp32"]) as file:
        content = b"".join(file.read(name) for name in file.names)
    for path in (small_model, Path.cwd(), Path(os.path.expanduser("~"))):  # noqa: PTH111
        assert str(path).encode() not in content


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("absent", "absent: not the folder of a run"),
        ("runs/nmt/default --to mine.zip", "--to must end with .s2s, got mine.zip"),
    ],
)
def test_mistakes(small_model: Path, words: str, said: str):
    done = call(f"s2s export {words}", cwd=small_model, check=False)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_another_app_is_refused(exported: dict[str, Path], tmp_path: Path):
    done = call(f"s2s translate app=code model={exported['fp32']} word", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "was trained with app=nmt, got app=code" in done.stderr


@pytest.fixture
def folder(exported: dict[str, Path], tmp_path: Path) -> Path:
    """A folder with the file, and a test set of a user's own."""
    shutil.copy(exported["fp32"], tmp_path / "mine.s2s")
    (tmp_path / "own.en").write_text("".join(f"{line}\n" for line in LINES))
    (tmp_path / "own.de").write_text("".join(f"{line[::-1].upper()}\n" for line in LINES))
    return tmp_path


@pytest.mark.slow  # decodes several times
def test_a_diagnosis_by_the_users_own_test_set(folder: Path, model: s2s_plugin.Model):
    own, beams = "data.test_source=own.en data.test_target=own.de", "diagnose.beams=[1,5]"
    done = call(f"s2s diagnose mine.s2s {own} {beams} diagnose.challenge=[same=own.en:own.de]", cwd=folder)
    printed = done.stdout
    for title in ("Long sources", "Rare words", "Other domains", "Use of the source", "Large beams"):
        assert f"\n{title}\n" in printed
    assert "Not measured: this requires the training text" in printed and "report" not in printed
    (own_row,) = (line.split()[3:] for line in printed.splitlines() if line.split()[:3] == ["own", "test", "set"])
    (same_row,) = (line.split()[1:] for line in printed.splitlines() if line.split()[:1] == ["same"])
    assert own_row == same_row and own_row[0] == "4"
    assert sorted(path.name for path in folder.iterdir()) == ["mine.s2s", "own.de", "own.en"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("diagnose mine.s2s", "requires a test set: data.test_source=FILE data.test_target=FILE, or data.test_pairs"),
        ("generate app=nmt model=mine.s2s", "model=mine.s2s: s2s generate requires the folder of a run"),
        ("train app=nmt model=mine.s2s", "requires the folder of a run; finetune_from=mine.s2s trains on from it"),
        ("translate app=nmt model=hf:mine 'a b'", "is hf:OWNER/NAME or hf:OWNER/NAME@REVISION, got hf:mine"),
    ],
)
def test_what_a_command_requires(folder: Path, command: str, said: str):
    done = call(f"s2s {command}", cwd=folder, check=False)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow  # a command each
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("attention model=mine.s2s 'a b c'", "rows: output tokens"),
        ("explain model=mine.s2s 'a b c'", "not known: the training text is gone"),
        ("datastore app=nmt model=mine.s2s own.en own.de task.knn=store", "datastore store"),
        ("backtranslate app=nmt model=mine.s2s own.en pairs.jsonl", ""),
        ("check own.en own.de data.source_lang=en data.target_lang=de check.run=mine.s2s", "loss"),
    ],
)
def test_commands_that_take_the_file(folder: Path, command: str, said: str):
    assert said in call(f"s2s {command}", cwd=folder).stdout


def test_a_datastore_of_this_machine_is_left_out(small_model: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(small_model / "runs/nmt/default", run)
    _, _, text = (run / "config.yaml").read_text(encoding="utf-8").partition("\n")  # without its checksum
    assert "  knn: null\n" in text
    (run / "config.yaml").write_text(text.replace("  knn: null\n", "  knn: /home/me/store\n"), encoding="utf-8")
    call(f"s2s export {run} --to {tmp_path / 'mine.s2s'}", cwd=tmp_path)
    with PackageFile(tmp_path / "mine.s2s") as file:
        assert all(b"/home/me" not in file.read(name) for name in file.names)
    assert s2s_plugin.load(tmp_path / "mine.s2s").translate("a b c")


def test_searches_share_the_weights(exported: dict[str, Path]):
    model = s2s_plugin.load(exported["fp32"], precision="int8")
    wide, narrow = (model._search({"nbest": 1, "beam": beam}) for beam in (10, 2))
    assert wide.search.models == narrow.search.models and wide.search.models != model._translator.models
    assert wide.max_tokens * 2 == narrow.max_tokens == model._translator.max_tokens
    other = model._search({"nbest": 1, "search_precision": "fp32"})
    assert other.search.models != wide.search.models
