"""Pretrained embeddings: file formats, missing tokens, and that a checkpoint does not need the file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import GENERATE, TRAIN, call
from torch.testing import assert_close

from s2s_plugin.errors import UserError
from s2s_plugin.models.embedding import Embedding
from s2s_plugin.models.layers.dropout import Dropout

from .conftest import dictionary_of

VECTORS = {"w4": [1.0, 2.0, -3.0], "w6": [0.5, 0.0, 1e-3]}
ROWS = "w4 1 2 -3\nelsewhere 9 9 9\nw6 0.5 0 1e-3\n"


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("head", ["", "3 3\n"], ids=["GloVe", "word2vec and fastText"])
@pytest.mark.parametrize("frozen", [False, True])
def test_vectors_begin_the_table(tmp_path: Path, head: str, frozen: bool):
    dictionary = dictionary_of(8)
    torch.manual_seed(1)
    fresh = Embedding(dictionary, 3, Dropout(0.0)).table.weight
    torch.manual_seed(1)
    table = Embedding(dictionary, 3, Dropout(0.0), write(tmp_path / "v.txt", head + ROWS), frozen).table.weight
    for index, token in enumerate(dictionary.symbols):
        assert_close(table[index], torch.tensor(VECTORS[token]) if token in VECTORS else fresh[index].detach())
    assert table.requires_grad is not frozen


def test_word_dropout_drops_whole_vectors_while_training():
    torch.manual_seed(1)
    embedding = Embedding(dictionary_of(50), 8, Dropout(0.0), word_dropout=0.25)
    tokens = torch.randint(4, 50, (40, 50))
    vectors, kept = embedding(tokens), embedding.eval()(tokens)
    dropped = vectors.eq(0).all(2)
    assert_close(vectors[~dropped], kept[~dropped])
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.03)  # 3 standard errors
    assert not kept.eq(0).all(2).any()


def test_mistakes_are_one_line(tmp_path: Path):
    for text, message in (
        ("w4 1 2\n", r"v\.txt:1: expected 3 numbers, got 2"),
        (ROWS + "w5 1 two 3\n", r"v\.txt:4: not a vector"),
        ("elsewhere 9 9 9\n", "contains none of the dictionary's 8 tokens"),
    ):
        with pytest.raises(UserError, match=message):
            Embedding(dictionary_of(8), 3, Dropout(0.0), write(tmp_path / "v.txt", text))
    with pytest.raises(UserError, match=r"none\.txt: cannot be read"):
        Embedding(dictionary_of(8), 3, Dropout(0.0), str(tmp_path / "none.txt"))


def test_a_checkpoint_does_not_need_the_file(toy: Path, tmp_path: Path):
    vectors = Path(write(tmp_path / "v.txt", "a " + " ".join(["0.5"] * 32) + "\n"))
    options = f" --encoder-embed-path {vectors} --freeze-embeddings --max-update 2 --disable-validation"
    call(TRAIN.format(data=toy, save_dir=tmp_path) + options)
    vectors.unlink()
    path = tmp_path / "checkpoint_last.pt"
    weights = torch.load(path, weights_only=True)["model"]["encoder.embedding.table.weight"]
    assert weights.eq(0.5).all(1).sum() == 1  # frozen: the letter a keeps its vector
    assert call(GENERATE.format(data=toy, path=path)).stdout.count("\nH-") == 13
