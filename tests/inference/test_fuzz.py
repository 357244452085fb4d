"""Odd lines of every kind through prepare, generate and translate: none is lost, none moves, nothing crashes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import unicodedata
from pathlib import Path

import pytest
from command_line import BIN, call
from fairseq.dataclass.configs import GenerationConfig
from omegaconf import OmegaConf

from s2s_plugin.corpora.lines import checked_lines
from s2s_plugin.errors import UserError
from s2s_plugin.inference.translator import Translator
from s2s_plugin.text.normalize import normalize

FEW, ALL = 300, 10_000
TINY = (
    "model=tiny model.share_all_embeddings=true subword.size=500 optimization.max_update=3 "
    "checkpoint_metric=loss generation.beam=1 generation.max_len_a=0 generation.max_len_b=10"
)
CONTROLS = [chr(code) for code in range(0x20) if chr(code) != "\n"] + ["\x7f", "\x85", "\u2028", "\u2029", "\ufeff"]
EMOJI = ["👩‍💻", "👨‍👩‍👧‍👦", "🇰🇷", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️", "👍🏽", "1️⃣", "\u200d", "\ufe0f"]
RIGHT_TO_LEFT = ["שלום", "العربية", "\u202e", "\u2067", "می‌خواهم", "\u200f"]
MARKS = [chr(code) for code in (*range(0x300, 0x370), 0x20DD, 0x1AB0, 0xFE20, 0x0E33, 0x0BCD)]
WHOLE = [
    *("", " ", "\t", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\u3000 \xa0", "\x00", "\ufeff", "\u200b", "\u2581"),
    *("<s>", "</s> <pad> <unk>", "<copy0>", "<2de>", "a|b", "\u0301", "\ufffd", "\uffff", "\U0010ffff", "x" * 3000),
    *("a\rb", "a\x0bb\x0cc", "a\x1cb\x1dc\x1ed\x1fe", "a\x85b", "a\u2028b\u2029c", "a\x00b", "\ufeffa"),
]


def odd_line(draw: random.Random) -> str:
    """Some words, and pieces of one kind among them: code points of a plane, marks, emoji, controls ..."""
    plane = draw.randrange(17)

    def of_plane() -> str:
        code = plane * 0x10000 + draw.randrange(0x10000)
        return chr(code) if chr(code) != "\n" and not 0xD800 <= code < 0xE000 else " "

    kind = draw.choice([of_plane, lambda: draw.choice(MARKS), lambda: draw.choice(EMOJI),
                        lambda: draw.choice(RIGHT_TO_LEFT), lambda: draw.choice(CONTROLS)])  # fmt: skip
    parts = [draw.choice(["a", "word", "Straße", "나무", " ", " ", " "]) for _ in range(draw.randrange(12))]
    for _ in range(draw.randrange(1, 6)):
        parts.insert(draw.randrange(len(parts) + 1), kind())
    return "".join(parts)


def odd_lines(count: int) -> list[str]:
    draw = random.Random(1)
    lines = [odd_line(draw) for _ in range(count - len(WHOLE) - 1)]
    for line in (*WHOLE, "long " * 200_000):  # the last: a megabyte
        lines.insert(draw.randrange(len(lines) + 1), line)
    return lines


@pytest.fixture(scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.slow)], ids=str)
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run on odd lines, with as many plain ones before them; the folder it was called in, and the odd lines."""
    folder, lines = tmp_path_factory.mktemp("odd"), odd_lines(request.param)
    plain = [f"some plain words, number {number}" for number in range(request.param)]
    for lang, texts in (("en", plain + lines), ("de", plain + lines[::-1])):
        (folder / f"my.{lang}").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8", newline="\n")
        test = "".join(f"{text}\n" for text in usable(lines, folder)[:: 1 if lang == "en" else -1])
        (folder / f"test.{lang}").write_text(test, encoding="utf-8", newline="\n")
    files = "data=files data.source=my.en data.target=my.de data.test_source=test.en data.test_target=test.de"
    longest = "data.max_length=4000 task.max_source_positions=4001 task.max_target_positions=4001"
    done = call(f"s2s run app=nmt {files} {TINY} {longest} data.on_bad_item=skip dataset.max_tokens=9000", cwd=folder)
    (folder / "said").write_text(done.stderr, encoding="utf-8")
    return folder, lines


def usable(lines: list[str], folder: Path) -> list[str]:
    """Those that are taken for a sentence, and that something is left of after cleaning."""
    path = folder / "all"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    good = [line for line in checked_lines(path) if not isinstance(line, UserError)]
    assert len(lines) - len(good) >= 10
    return [line for line in good if any(unicodedata.category(letter)[0] not in "CZ" for letter in line)]


def test_every_line_of_the_test_set_has_its_output(odd: tuple[Path, list[str]]):
    folder, lines = odd
    run, (data,) = folder / "runs/nmt/default", (folder / "data-bin").glob("files.en-de.????????")
    sources, references = ((data / "text" / f"test.{lang}").read_bytes().split(b"\n")[:-1] for lang in ("en", "de"))
    assert len(sources) == len(usable(lines, folder)) > 0.7 * len(lines)
    rows = [json.loads(line) for line in (run / "outputs.jsonl").read_bytes().split(b"\n")[:-1]]
    assert [row["source"].encode() for row in rows] == sources == references[::-1]
    hypotheses = [row["hypothesis"] for row in rows]
    assert (run / "test.hyp").read_bytes() == "".join(f"{text}\n" for text in hypotheses).encode()
    assert all(len(text.splitlines()) <= 1 for text in hypotheses)
    assert " longer than 20,000 characters: my.en:" in (folder / "said").read_text()
    assert (run / "report.html").is_file()


def test_each_output_is_that_of_its_source(odd: tuple[Path, list[str]]):
    """What the plain generation gave for item i is what a source gives alone."""
    folder, _ = odd
    run = folder / "runs/nmt/default"
    rows = [json.loads(line) for line in (run / "outputs.jsonl").read_bytes().split(b"\n")[:-1]]
    generation = OmegaConf.merge(OmegaConf.structured(GenerationConfig), {"beam": 1, "max_len_a": 0.0, "max_len_b": 10})
    (data,) = (folder / "data-bin").glob("files.en-de.????????")
    translator = Translator(run / "checkpoints" / "checkpoint_best.pt", generation, data=data, cpu=True)
    some = random.Random(2).sample(rows, 40)
    found = [translator.translate([row["source"]])[0] for row in some]
    assert [each.score for each in found] == pytest.approx([row["score"] for row in some], abs=2e-3)
    assert sum(each.text == row["hypothesis"] for each, row in zip(found, some, strict=True)) >= 38  # but for ties


@pytest.mark.slow
def test_lines_by_hand_keep_their_number_and_place(odd: tuple[Path, list[str]]):
    """Also what no file of sentences may hold: NUL, line ends of other tools, nothing but blanks, a megabyte."""
    folder, lines = odd
    command = [str(BIN / "s2s"), "translate", "app=nmt"]

    def translated(texts: list[str]) -> tuple[list[str], str]:
        done = subprocess.run(
            command, cwd=folder, input="".join(f"{text}\n" for text in texts).encode(), capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=1200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        *outputs, rest = done.stdout.decode().split("\n")
        assert rest == ""
        return outputs, done.stderr.decode()

    outputs, said = translated(lines)
    assert len(outputs) == len(lines)
    assert all(len(text.splitlines()) <= 1 for text in outputs)
    for line, output in zip(lines, outputs, strict=True):
        assert bool(output) <= bool(normalize(line)), (line[:50], output)  # nothing comes of nothing
    number = lines.index("long " * 200_000) + 1
    assert f"line {number}: truncated to 4,000 of " in said
    last = len(lines) // 10
    assert translated(lines[::-1][:last])[0] == outputs[::-1][:last]
