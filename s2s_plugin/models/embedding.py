"""Embedding: token ids to vectors, optionally initialized from a file of pretrained vectors."""

from pathlib import Path

import torch
from fairseq.data import Dictionary
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.layers.dropout import Dropout

FROM_CHECKPOINT = "checkpoint"


class Embedding(nn.Module):
    """Map token ids to vectors, with dropout; that of padding stays zero.

    Args:
        dictionary: of the tokens.
        size: width D of a vector.
        dropout: of the vectors.
        path: text file of pretrained vectors; "" for none; :data:`FROM_CHECKPOINT` if a checkpoint will be loaded.
        frozen: do not train a table initialized from ``path``.
        word_dropout: probability of zeroing a whole vector in training (Sennrich & Zhang 2019, section 3.4).
    """

    def __init__(
        self, dictionary: Dictionary, size: int, dropout: Dropout,
        path: str = "", frozen: bool = False, word_dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.table = nn.Embedding(len(dictionary), size, padding_idx=dictionary.pad())
        nn.init.normal_(self.table.weight, std=size**-0.5)
        nn.init.zeros_(self.table.weight[dictionary.pad()])
        if path:
            if path != FROM_CHECKPOINT:
                load_vectors(Path(path), dictionary, self.table.weight)
            self.table.weight.requires_grad_(not frozen)
        self.dropout = dropout
        self.word_dropout, self.pad = word_dropout, dictionary.pad()

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed ids B x T (x ...) as B x T (x ...) x D."""
        if self.dropout.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped, self.pad)  # whose vector is zero
        return self.dropout(self.table(tokens))


@torch.no_grad()
def load_vectors(path: Path, dictionary: Dictionary, table: Tensor) -> None:
    """Overwrite rows of an embedding table V x D with pretrained vectors.

    Each line of the file has a token and its D numbers; a first line "count D" (word2vec, fastText) is skipped.

    Raises:
        UserError: the file cannot be read, a line is no vector of this width, or no token is in the dictionary.
    """
    matches = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                token, *values = line.rstrip().split(" ")
                if number == 1 and len(values) == 1:
                    continue
                if len(values) != table.size(1):
                    raise UserError(f"{path}:{number}: expected {table.size(1)} numbers, got {len(values)}")
                index = dictionary.index(token)
                if index != dictionary.unk() or token == dictionary.unk_word:
                    table[index] = torch.tensor([float(value) for value in values])
                    matches += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}:{number}: not a vector ({error})") from None
    if not matches:
        raise UserError(f"{path}: contains none of the dictionary's {len(dictionary)} tokens; check its segmentation")
