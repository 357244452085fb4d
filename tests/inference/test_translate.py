"""``s2s translate`` with sentences and files on its command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference import interactive, lines
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.tasks.checkpoint import load_model


def translate(model: Path, *inputs: str, stdin: str | None = None, check: bool = True):
    return call(["s2s", "translate", "app=nmt", *inputs, f"run_dir={model}/runs/nmt/default"], model, stdin, check)


def test_sentences_and_files_as_arguments(small_model: Path, tmp_path: Path):
    texts = ["a b c", "d e", "", "a = b", "f " * 200 + "g"]
    piped = translate(small_model, stdin="".join(f"{text}\n" for text in texts)).stdout
    assert len(piped.splitlines()) == len(texts) and piped.splitlines()[0]
    assert translate(small_model, *texts).stdout == piped
    file = tmp_path / "two words"
    file.write_text("".join(f"{text}\n" for text in texts[1:]))
    assert translate(small_model, texts[0], str(file), "generation.beam=5").stdout == piped


def test_a_file_that_is_not_there(small_model: Path):
    done = translate(small_model, "a b c", "file.txt", check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.splitlines()[-1].startswith("s2s: error: file.txt: there is no such file")


class Here:
    """``s2s translate`` in this process."""

    def __init__(self, model: Path, capsys: pytest.CaptureFixture):
        self.run, self.capsys = RunDir(model / "runs/nmt/default"), capsys

    def translate(self, *inputs: str, command=lines.translate, **generation: object) -> tuple[list[str], list[str]]:
        """Lines on standard output, and on standard error with the error at the end."""
        cfg = OmegaConf.load(self.run.config)
        cfg.task.data, cfg.workers = str(self.run.data), 1
        cfg.generation.update(generation)
        error = []
        try:
            command(cfg, self.run, inputs)
        except UserError as mistake:
            error = [f"error: {mistake}"]
        out, err = self.capsys.readouterr()
        return out.split("\n")[:-1], err.splitlines() + error


@pytest.fixture
def here(small_model: Path, capsys: pytest.CaptureFixture) -> Here:
    return Here(small_model, capsys)


def test_a_bad_line_costs_its_own_output(here: Here, tmp_path: Path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"a b c\n\nd e\n")
    bad.write_bytes(b"a b c\ncaf\xe9\nd e\n")
    unreadable = tmp_path / "unreadable"
    unreadable.symlink_to("/proc/self/mem")  # opens, and cannot be read
    outputs, said = here.translate(str(bad), str(unreadable), str(good))
    first, empty, last = here.translate("a b c", "", "d e")[0]
    assert outputs == [first, empty, last, "", first, empty, last]
    assert said == [
        f"s2s: {bad}, line 2: byte 4 is not UTF-8; convert it",
        f"s2s: {unreadable}: cannot be read (Input/output error)",
        "error: 2 of the lines could not be used; see above",
    ]


def test_a_constraint_that_cannot_be_spelled(here: Here):
    outputs, said = here.translate("a b c\tH", "a b c\t☃", "d e\tG\tH", constraints="unordered")
    assert "H" in outputs[0] and outputs[1] == "" and {"G", "H"} <= set(outputs[2])
    assert said == [
        "s2s: a b c ☃: constraints must be in the target vocabulary, got '☃'",
        "error: 1 of the lines could not be used; see above",
    ]


def test_unknown_letters_are_named_once(here: Here, tmp_path: Path):
    (tmp_path / "odd").write_text("a ☃b\nc\n☃ d 漢ñ\n漢\n")
    outputs, said = here.translate(str(tmp_path / "odd"))
    assert len(outputs) == 4
    assert said == [
        f"{tmp_path}/odd, line 1: not in the vocabulary: ☃",
        f"{tmp_path}/odd, line 3: not in the vocabulary: 漢 ñ",
    ]
    outputs, said = here.translate("a☃", "b", "漢☃", command=interactive.pronounce)
    assert [line.partition("\t")[0] for line in outputs] == ["a☃", "b", "漢☃"]
    assert said == ["a☃: not in the vocabulary: ☃", "漢☃: not in the vocabulary: 漢 ☃"]


def test_blanks_and_marks_around_a_line(here: Here):
    """As in prepared text; only text that is lossless keeps them, see test_lossless.py."""
    odd = ["\ufeff  a b c", "\ta b c \t\f", "a\rb\fc", " \ufeff\ufeff a  b \xa0c\r", "\u3000a b\x0bc", "\f", " \ufeff "]
    assert here.translate(*odd)[0] == here.translate("a b c")[0] * 5 + ["", ""]


def test_weights_that_are_not_numbers(small_model: Path, tmp_path: Path):
    state = torch.load(RunDir(small_model / "runs/nmt/default").best_checkpoint(), weights_only=True)
    name = list(state["model"])[-1]
    state["model"][name].view(-1)[3] = float("nan")
    torch.save(state, tmp_path / "nan.pt")
    with pytest.raises(UserError, match=f"nan.pt: {name} has weights that are NaN or infinite"):
        load_model(tmp_path / "nan.pt", small_model / "runs/nmt/default/data")
