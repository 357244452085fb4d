"""songys/Chatbot_data, on its real file."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes import assert_manifest, assert_no_leak, read, sample

from s2s_plugin.corpora.dialogues import question_key
from s2s_plugin.corpora.recipe import load_recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError

songys = load_recipe("songys_chatbot")


def prepare(folder: Path, tmp_path: Path) -> Path:
    return songys.prepare(tmp_path / "out", "turns", "reply", tmp_path / "cache", from_dir=folder)


def test_songys_is_split_by_question(tmp_path: Path):
    out = prepare(sample("songys_chatbot"), tmp_path)
    files = assert_manifest(out, "songys_chatbot")
    assert [files[f"{split}.turns"]["lines"] for split in SPLITS] == [9_968, 617, 1_139]
    questions = {split: [question_key(line) for line in read(out, f"{split}.turns")] for split in SPLITS}
    assert_no_leak(map(set, questions.values()))
    assert len(set(questions["test"])) == len(questions["test"])
    assert ("12시 땡!", "하루가 또 가네요.") in [
        pair for split in SPLITS for pair in zip(read(out, f"{split}.turns"), read(out, f"{split}.reply"), strict=True)
    ]


@pytest.mark.parametrize("content", [b"question;answer\na;b\n", b"Q,A,label\nonly one\n", b"Q,A\n\xff,b\n"])
def test_songys_refuses_other_files(tmp_path: Path, content: bytes):
    (tmp_path / songys.FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*ChatbotData\.csv: .* the columns Q, A"):
        prepare(tmp_path, tmp_path)
    with pytest.raises(UserError, match=r"no ChatbotData\.csv in"):
        prepare(tmp_path / "other", tmp_path)
