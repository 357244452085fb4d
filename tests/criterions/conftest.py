"""A task of two letters, of which all targets can be listed (see ``helpers/two_letters.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from fairseq.data import Dictionary
from two_letters import MAX_LEN

from s2s_plugin.criterions import minimum_risk
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig


@pytest.fixture
def task(tmp_path: Path) -> Seq2SeqTask:
    """Two letters on either side."""
    dictionary = Dictionary()
    for letter in "ab":
        dictionary.add_symbol(letter)
    return Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path)), dictionary, dictionary)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit targets to a length at which all can be listed."""
    monkeypatch.setattr(minimum_risk, "MAX_LEN_A", 0)
    monkeypatch.setattr(minimum_risk, "MAX_LEN_B", MAX_LEN)
