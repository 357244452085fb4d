"""``s2s compare``: runs side by side, and one line where they cannot be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import call

from s2s_plugin.errors import UserError
from s2s_plugin.stages import compare

CONFIG = (
    "metrics: [s2s_bleu, s2s_ter]\nscoring: {_name: s2s_bleu, sacrebleu_tokenizer: 13a, sacrebleu_lowercase: true}\n"
)
REFERENCES = [f"the dog number {number} runs across the wide green lawn" for number in range(40)]


def write_run(folder: Path, hypotheses: list[str], references: list[str] = REFERENCES) -> Path:
    """What ``s2s generate`` leaves of a run, as far as its outputs go."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    pairs = enumerate(zip(references, hypotheses, strict=True))
    rows = ({"id": n, "reference": r, "hypothesis": h} for n, (r, h) in pairs)
    (folder / "outputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Bad, good, and the good one again but for an output."""
    bad = [text.replace("dog", "cat").replace("lawn", "yard") for text in REFERENCES]
    good = [text.replace("dog", "cat") if number < 9 else text for number, text in enumerate(REFERENCES)]
    outputs = {"bad": bad, "good": good, "same": [*good[:-1], bad[-1]]}
    return [write_run(tmp_path / name, texts) for name, texts in outputs.items()]


def test_runs_side_by_side(runs: list[Path], tmp_path: Path):
    done = call("s2s compare bad good same", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0] == "3 runs over the same 40 items; differences are from the first run"
    assert lines[2].startswith("BLEU  nrefs:1|case:lc|eff:no|tok:13a|")
    assert lines[7].startswith("TER  (lower is better)  nrefs:1|")
    row = r" +([\d.]+)  \[([\d.]+), ([\d.]+)\] +(?:([+-][\d.]+)  p = ([\d.]+))? +(\w+)"
    found = [match.groups() for line in lines if (match := re.fullmatch(row, line))]
    assert [each[-1] for each in found] == ["bad", "good", "same"] * 2
    for score, low, high, *_ in found:
        assert float(low) <= float(score) <= float(high)
    bleu = found[1]
    assert float(bleu[3]) == pytest.approx(float(bleu[0]) - float(found[0][0]), abs=0.011) and float(bleu[4]) == 0.002
    assert float(found[4][3]) < 0
    assert lines[-1] == "bs:1000|seed:12345"


def test_one_output_more_or_less_makes_no_difference(runs: list[Path], capsys: pytest.CaptureFixture[str]):
    compare.run([*map(str, runs[1:]), "--metrics", "s2s_exact"])
    p = re.search(r"-2\.50  p = ([\d.]+)  +\S+/same", capsys.readouterr().out)
    assert p is not None and float(p[1]) > 0.3


def test_runs_that_do_not_compare(runs: list[Path], tmp_path: Path):
    write_run(tmp_path / "short", REFERENCES[:-1], REFERENCES[:-1])
    write_run(tmp_path / "other", REFERENCES, [*REFERENCES[:6], "something else", *REFERENCES[7:]])
    write_run(tmp_path / "unfinished", REFERENCES)
    (tmp_path / "unfinished" / "outputs.jsonl").unlink()
    for folder, message in (
        ("short", "good has 40 items and .*short 39: .* same test set"),
        (
            "other",
            "different references, first in item 7: 'the dog number 6 .*' and 'something else'; .* same test set",
        ),
        ("unfinished", "unfinished: has no outputs .* generate stage"),
        ("nowhere", "nowhere: not the folder of a run"),
    ):
        with pytest.raises(UserError, match=message):
            compare.run([str(runs[1]), str(tmp_path / folder)])
    with pytest.raises(UserError, match=r"metrics must be among .*, got s2s_blue"):
        compare.run([*map(str, runs), "--metrics", "s2s_blue"])


def test_a_mistake_is_one_line(tmp_path: Path):
    done = call("s2s compare here there", cwd=tmp_path, check=False)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("s2s: error: here: not the folder of a run")
    with pytest.raises(SystemExit, match="2"):
        compare.run(["here"])
