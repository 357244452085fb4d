"""``s2s translate`` with sentences and files on its command line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from command_line import call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference import interactive, lines
from s2s_plugin.inference.hypothesis import Hypothesis
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.tokens import token_lines
from s2s_plugin.inference.translator import Translator
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
    done = translate(small_model, "a b c", "runs", check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.splitlines()[-1].startswith("s2s: error: runs: is a folder; name its files")


class Here:
    """``s2s translate`` in this process."""

    def __init__(self, model: Path, capsys: pytest.CaptureFixture):
        self.run, self.capsys = RunDir(model / "runs/nmt/default"), capsys

    def translate(
        self, *inputs: object, command=lines.translate, column: object = None, **generation: object
    ) -> tuple[list[str], list[str]]:
        """Lines on standard output, and on standard error with the error at the end."""
        cfg = OmegaConf.load(self.run.config)
        cfg.task.data, cfg.workers, cfg.data.source_column = str(self.run.data), 1, column
        cfg.generation.update(generation)
        error = []
        try:
            command(cfg, self.run, list(map(str, inputs)))
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
    assert outputs == [first, empty, last] * 2
    assert said == [
        f"s2s: {bad}, line 2: byte 4 is not UTF-8; convert it",
        f"s2s: {unreadable}: cannot be read (Input/output error); check the name",
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


def test_the_n_best_and_what_their_tokens_attend_to(here: Here):
    texts = ["a b c d", "", "e f"]
    best, _ = here.translate(*texts)
    rows = [line.split("\t") for line in here.translate(*texts, nbest=3)[0]]
    assert [number for number, _, _ in rows] == ["1"] * 3 + ["2"] + ["3"] * 3
    assert [rows[place][2] for place in (0, 3, 4)] == best
    scores = [float(score) for _, score, _ in rows]
    assert scores[:3] == sorted(scores[:3], reverse=True) and scores[0] < 0

    shown, _ = here.translate("a b c d", print_alignment="hard")
    assert shown[0].split("\t") == rows[0] and max(map(len, shown)) <= 80
    generation = OmegaConf.create({"beam": 5, "max_len_a": 1.5, "max_len_b": 10, "print_alignment": "hard"})
    translator = Translator(here.run.best_checkpoint(), generation, data=here.run.data)
    hypothesis = translator.translate(["a b c d"])[0]
    sources = ["▁a", "▁b", "▁c", "▁d", "</s>"]
    for line, token, probability, weights in zip(
        shown[2:], hypothesis.target_tokens, hypothesis.token_probabilities, hypothesis.attention, strict=True
    ):
        strongest = sorted(zip(weights, sources, strict=True), reverse=True)[:3]
        assert line.split() == [token, f"{probability:.2f}", *(w for v, s in strongest for w in (s, f"{v:.2f}"))]
    assert sum(map(math.log, hypothesis.token_probabilities)) / len(sources) == pytest.approx(hypothesis.score, rel=0.3)


def test_a_line_of_tokens_fits_a_terminal():
    hypothesis = Hypothesis(
        "x", -1.0, 0.5, ["한국어" * 9, "e\u0301" * 40, "</s>"], [0.5, 1, 0.25], [[0.2, 0.5, 0.3, 0]] * 3
    )
    shown = list(token_lines(hypothesis, ["漢字" * 9, "w" * 50, "ok", "</s>"]))[1:]
    for line, token in zip(shown, ["한국어한국어한국어…", "e\u0301" * 19 + "…", "</s>"], strict=True):
        width = sum(2 if character > "\u2e7f" else character != "\u0301" for character in line)
        assert line.startswith(f"    {token} ") and width <= 80
        assert line.endswith(f"{'w' * 11}… 0.50  ok 0.30  漢字漢字漢… 0.20")


def test_one_column_of_a_table(here: Here, tmp_path: Path):
    best = here.translate("a b", "c d e")[0]
    by_language, named, tabs, single = (tmp_path / name for name in ("my.csv", "other.csv", "my.txt", "single.csv"))
    by_language.write_text('id,English,German\n1,a b,X\n2,"c d e",Y\n')
    named.write_text('id,text,label\n1,a b,X\n2,"c d e",Y\n3,d\n')
    tabs.write_text("a b\tX\nc d e\tY\n")
    single.write_text("a b\n")
    assert here.translate(by_language) == (best, [])
    outputs, said = here.translate(named, column="text")
    assert outputs == [*best, ""] and said[0] == f"s2s: {named}:4: expected 3 cells, got 2"
    assert here.translate(tabs, column=1) == (best, [])
    outputs, said = here.translate(tabs)
    assert len(outputs) == 2 and "as in a table; data.source_column=NUMBER translates one" in said[0]
    outputs, said = here.translate(named, single, by_language)
    assert outputs == best
    assert f"{named}: which column of the table? Set data.source_column to one of: id, text, label" in said[0]
    assert "expected a table" in said[1] and f"s2s translate < {single}" in said[1]
    assert said[2:] == ["error: 2 of the lines could not be used; see above"]
