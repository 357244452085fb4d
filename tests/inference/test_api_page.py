"""The Python of docs/api.md runs as it is written, on a run of its own."""

from __future__ import annotations

import re
from pathlib import Path

from command_line import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.DOTALL)


def test_text_and_steps(small_model: Path, monkeypatch, capsys):
    monkeypatch.chdir(small_model)
    names: dict = {}
    exec(BLOCKS[0], names)  # noqa: S102
    assert len(capsys.readouterr().out.splitlines()) == 2
    exec(BLOCKS[1], names)  # noqa: S102
    assert names["best"].attention.shape == (len(names["best"].tokens), len(names["best"].source_tokens))
    exec(BLOCKS[2], names)  # noqa: S102
    assert names["rest"].outputs[0].tokens[0] == names["places"][0][1].token != names["best"].tokens[0]
    exec(BLOCKS[3], names)  # noqa: S102
    assert names["logits"].shape == (1, len(names["task"].target_dictionary))
    assert names["attention"].sum().item() > 0.99
