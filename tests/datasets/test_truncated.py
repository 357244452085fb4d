"""The beginning of long texts: what stays, and that batches and lines by hand have the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import GENERATE, PREPROCESS, TRAIN, call, write_reversed

from s2s_plugin.datasets.truncated import TruncatedTexts
from s2s_plugin.errors import UserError
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig

TEXTS = [torch.tensor([5, 6, 7, 8, 9, 2]), torch.tensor([5, 2]), torch.tensor([5, 6, 7, 2])]
SIZES = np.array([6, 2, 4])


def test_the_end_of_a_text_stays_its_last_symbol():
    texts = TruncatedTexts(TEXTS, SIZES, 4)
    assert [text.tolist() for text in texts] == [[5, 6, 7, 2], [5, 2], [5, 6, 7, 2]]
    assert texts.sizes.tolist() == [4, 2, 4] and len(texts) == 3


@pytest.mark.parametrize(("longest", "kept"), [(4, [5, 6, 2]), (5, [5, 6, 7, 8, 2]), (6, [5, 6, 7, 8, 2])])
def test_a_token_keeps_its_factors(longest: int, kept: list[int]):
    """Two ids a token, and </s>."""
    texts = TruncatedTexts([torch.tensor([5, 6, 7, 8, 9, 10, 2])], np.array([7]), longest, group=2)
    assert texts[0].tolist() == kept and texts.sizes.tolist() == [len(kept)]


def task_of(folder: Path, **settings) -> Seq2SeqTask:
    cfg = Seq2SeqTaskConfig(data=str(folder), source_lang="src", target_lang="tgt", seed=1, **settings)
    return Seq2SeqTask.setup_task(cfg)


def test_all_ways_into_a_batch_are_the_same(toy: Path):
    task, whole = (task_of(toy, truncate_source=truncate, max_source_positions=4) for truncate in (True, False))
    for each in (task, whole):
        each.load_dataset("test")
    long, short = whole.dataset("test"), task.dataset("test")
    assert max(long.source_sizes) > 4 and max(short.source_sizes) == 4
    by_hand = task.build_dataset_for_inference([item["source"] for item in long], long.source_sizes)
    for index in range(len(long)):
        expected = long[index]["source"].tolist()
        expected = expected if len(expected) <= 4 else [*expected[:3], expected[-1]]
        assert short[index]["source"].tolist() == by_hand[index]["source"].tolist() == expected
        assert short[index]["target"].tolist() == long[index]["target"].tolist()


def test_alignments_of_whole_sources_do_not_go_with_it(tmp_path: Path):
    write_reversed(tmp_path, {"train": 20, "valid": 5})
    for split, lines in (("train", 20), ("valid", 5)):
        (tmp_path / f"{split}.src-tgt").write_text("0-0\n" * lines)
    call(f"{PREPROCESS} --trainpref train --validpref valid --align-suffix src-tgt", cwd=tmp_path)
    with pytest.raises(UserError, match=r"alignments are of whole sources; set task.truncate_source=false"):
        task_of(tmp_path / "bin", truncate_source=True).load_dataset("valid")


def test_fairseqs_own_commands_read_the_beginning(toy: Path, tmp_path: Path):
    """Without it, fairseq leaves longer pairs out of the training and stops at longer ones in the test set."""
    limit = "--max-source-positions 4 --truncate-source"
    call(TRAIN.format(data=toy, save_dir=tmp_path) + f" --max-update 3 {limit}")
    done = call(GENERATE.format(data=toy, path=tmp_path / "checkpoint_last.pt") + f" {limit}").stdout
    sources = [line.split("\t")[1].split() for line in done.splitlines() if line.startswith("S-")]
    assert len(sources) == 13 and max(map(len, sources)) == 3
