"""The loss of a trained model on each training pair: what it has not learned is often wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from s2s_plugin.checking.index import Index
from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.errors import UserError
from s2s_plugin.search.scorer import log_likelihoods
from s2s_plugin.tasks.checkpoint import load_model
from s2s_plugin.utils.progress import Progress

CHUNK = 4000  # pairs that are sorted by length, and scored together
DEVIATION = 5.0  # see find_high_losses
Pair = tuple[int, str, str]  # id, source, target


class PairLoss:
    """A trained model of text.

    Raises:
        UserError: it is of signals, of several directions, or its data was not prepared by ``s2s prepare``.
    """

    def __init__(self, checkpoint: Path, data: Path, cpu: bool):
        model, _, self.task = load_model(checkpoint, data)
        self.model = model.cuda() if torch.cuda.is_available() and not cpu else model
        self.codec, languages = self.task.codec, (self.task.cfg.source_lang, self.task.cfg.target_lang)
        if self.codec is None or self.codec.source is None or any("+" in language for language in languages):
            raise UserError("check.run must be a run of one direction on text that s2s prepare has made")

    def __call__(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield the id and the loss of each pair: negative log-likelihood per token, in nats; not of too long ones."""
        ids, sources, targets = [], [], []
        limits = self.task.max_positions()
        for number, source, target in pairs:
            encoded = self._encode(source, target)
            if all(len(side) <= limit for side, limit in zip(encoded, limits, strict=True)):
                ids.append(number)
                sources.append(encoded[0])
                targets.append(encoded[1])
        sizes = [np.asarray([len(each) for each in side]) for side in (sources, targets)]
        padding, dictionary = self.task.source_dictionary.pad(), self.task.target_dictionary
        dataset = PairDataset(sources, sizes[0], padding, targets, sizes[1], dictionary)
        yield from zip(ids, (-log_likelihoods(self.model, dataset) / sizes[1]).tolist(), strict=True)

    def _encode(self, source: str, target: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids of both sides, truncated with ``task.truncate_source``."""
        tokens = self.codec.encode(source, target), self.codec.encode_target(target, source)
        dictionaries = self.task.source_dictionary, self.task.target_dictionary
        sides = [
            dictionary.encode_line(text, add_if_not_exist=False).long()
            for dictionary, text in zip(dictionaries, tokens, strict=True)
        ]
        return self.task.loader.truncate(sides[:1], np.asarray([len(sides[0])]))[0], sides[1]


def find_high_losses(index: Index, loss: PairLoss) -> None:
    """Find training pairs whose loss is more than five usual deviations above the median.

    The usual deviation is the median one, scaled to the standard deviation of a normal distribution.
    """
    index.run("CREATE TABLE loss (id INTEGER PRIMARY KEY, nats REAL)")
    query = "SELECT id, source, target FROM row WHERE part = 0 AND usable"
    total = index.value(query.replace("id, source, target", "count(*)"))
    rows = Progress(index.rows(query), "      losses", unit="pair", total=total)
    while chunk := list(islice(rows, CHUNK)):
        index.db.executemany("INSERT INTO loss VALUES (?, ?)", loss(chunk))
    count = index.value("SELECT count(*) FROM loss")
    if not count:
        return
    middle = "SELECT {0} FROM loss ORDER BY 1 LIMIT 1 OFFSET ?"
    median = index.value(middle.format("nats"), count // 2)
    deviation = index.value(middle.format(f"abs(nats - {median})"), count // 2)
    threshold = median + DEVIATION * 1.4826 * deviation
    detail = "printf('%.2f nats a token, usual: %.2f', nats, ?)"
    statement = f"INSERT INTO finding SELECT 'loss', id, NULL, {detail}, -nats FROM loss WHERE nats > ?"
    index.run(statement, median, threshold)
