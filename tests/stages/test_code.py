"""App code: programs of several lines through the pipeline, to the letter, and the parser that looks at them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from command_line import call

from s2s_plugin.inference.syntax import is_python
from s2s_plugin.text.escape import to_line, unescape

SETTINGS = (
    "model=tiny model.encoder_embed_dim=32 model.encoder_hidden_size=64 model.decoder_embed_dim=32 "
    "model.dropout=0 subword.size=450 output_parser=python dataset.max_tokens=600 "
    "optimization.max_update=200 optimization.lr=[0.01] lr_scheduler.warmup_updates=20 "
    "dataset.validate_interval_updates=100 ema.store_ema=false"
)
VERBS = ["print", "return", "read", "write", "open", "close", "sort", "count", "find", "move", "copy", "drop"]
NOUNS = ["apple", "table", "river", "stone", "cloud", "paper", "light", "horse", "bread", "water", "glass", "music"]
NAMES = random.Random(1).sample([f"{verb}_{noun}" for verb in VERBS for noun in NOUNS], 144)


def programs(name: str) -> tuple[str, str]:
    """Two that do what is asked; spaces, tabs, quotes, backslashes and line breaks count."""
    verb, noun = name.split("_")
    return f'def {verb}(x):\n\n\tprint("{noun}\\n",  x)', f"def {verb}(x):\n    print('{noun}\\n',  x)"


def request(name: str) -> str:
    return f"A function to {name.replace('_', ' the ')} please"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, str]:
    """A run with its scores: the folder it was called in, and its overrides."""
    folder = tmp_path_factory.mktemp("code")
    for split, names in (("train", NAMES[:-30]), ("valid", NAMES[-30:-15]), ("test", NAMES[-15:])):
        pairs = [(name, program) for name in names for program in programs(name)[: 2 if split == "test" else 1]]
        (folder / f"{split}.en").write_text("".join(f"{request(name)}\n" for name, _ in pairs))
        (folder / f"{split}.py").write_text("".join(to_line(program) + "\n" for _, program in pairs), encoding="utf-8")
    files = " ".join(
        f"data.{prefix}source={folder}/{split}.en data.{prefix}target={folder}/{split}.py"
        for prefix, split in (("", "train"), ("valid_", "valid"), ("test_", "test"))
    )
    own = f"app=code data=files {files} data.several_references=true {SETTINGS}"
    for stage in ("prepare", "train", "generate", "score"):
        call(f"s2s {stage} {own}", cwd=folder)
    return folder, own


def outputs(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "runs/code/default/outputs.jsonl").read_text().split("\n")[:-1]]


def test_a_request_is_one_item_with_all_its_programs(run: tuple[Path, str]):
    rows = outputs(run[0])
    assert [row["source"] for row in rows] == [request(name) for name in NAMES[-15:]]
    assert [row["id"] for row in rows] == list(range(15))
    for name, row in zip(NAMES[-15:], rows, strict=True):
        assert tuple(map(unescape, row["reference"])) == programs(name)
    scores = json.loads((run[0] / "runs/code/default/scores.json").read_text())
    assert scores["sentences"] == 15
    assert all(metric["signature"].endswith("refs:2") for metric in scores["metrics"].values())
    assert scores["metrics"]["char-BLEU"]["score"] > 50
    assert scores["baselines"]["nearest neighbour"]["exact"] == 0


def test_what_is_written_keeps_tabs_spaces_and_line_breaks(run: tuple[Path, str]):
    for row in outputs(run[0]):
        assert "↵↵\t" in row["hypothesis"]
        assert "  x" in row["hypothesis"]


def test_the_parser_has_looked_at_all_hypotheses(run: tuple[Path, str]):
    folder = run[0] / "runs/code/default"
    written = [line for line in (folder / "generate-test.txt").read_text().split("\n") if line.startswith("D-0\t")]
    assert len(written) == 5
    assert json.loads((folder / "generated.json").read_text())["search"]["output_parser"] == "python"
    first = next((text for text in (line.split("\t", 2)[2] for line in written) if is_python(unescape(text))), None)
    assert outputs(run[0])[0]["hypothesis"] == (first or written[0].split("\t", 2)[2])


def test_what_is_of_shell_commands_is_not_for_python(run: tuple[Path, str]):
    scores = json.loads((run[0] / "runs/code/default/scores.json").read_text())
    assert list(scores["metrics"]) == ["exact", "char-BLEU"]
    done = call("s2s translate app=code output_parser=bash", cwd=run[0], stdin=request(NAMES[-1]) + "\n")
    assert "output_parser=bash is not used: it accepts 0% of the validation references; set output_parser=python" in (
        done.stderr
    )


def test_by_hand_the_parser_looks_too(run: tuple[Path, str]):
    rows = outputs(run[0])[:3]
    found = call("s2s translate app=code", cwd=run[0], stdin="".join(row["source"] + "\n" for row in rows)).stdout
    assert found.split("\n")[:-1] == [row["hypothesis"] for row in rows]


def test_prepared_text_is_the_files(run: tuple[Path, str]):
    prepared = next((run[0] / "data-bin").glob("files.en-py.*"))
    assert (prepared / "text/train.py").read_bytes() == (run[0] / "train.py").read_bytes()
    assert json.loads((prepared / "codec.json").read_text())["py"]["lossless"]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("output_parser=ruby", "output_parser must be none, bash or python, got ruby"),
        ("subword.jamo=true", "subword.lossless and subword.jamo, factors"),
        ("subword.normalize_source=true", "copy_slots and normalize_source are mutually exclusive"),
        ("subword.kind=word", "subword.lossless requires subword.kind=unigram, bpe or char, got word"),
        ("subword.size=100", "SentencePiece could not learn 100 unigram tokens"),
    ],
)
def test_mistakes_are_one_line(run: tuple[Path, str], wrong: str, message: str):
    done = call(f"s2s prepare {run[1]} {wrong}", cwd=run[0], check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
