"""The best continuations, against a sort of all of them."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from s2s_plugin.search.topk import COLUMNS, NEG_INF, best_continuations


@pytest.mark.parametrize("vocabulary", [3, 50, 4 * COLUMNS, 4 * COLUMNS + 1, 8000, 8191])
@pytest.mark.parametrize(("beam", "count"), [(1, 10), (5, 10), (3, 1), (2, 64)])
def test_equals_a_sort(vocabulary: int, beam: int, count: int):
    torch.manual_seed(vocabulary + beam)
    scores, total = torch.randn(4, beam, vocabulary), torch.randn(4, beam)
    best, parent, token = best_continuations(scores, total, count)
    together = (scores + total.unsqueeze(2)).flatten(1)
    width = min(count, together.size(1))
    values, index = together.sort(1, descending=True)
    assert_close(best[:, :width], values[:, :width])
    assert torch.equal(parent[:, :width] * vocabulary + token[:, :width], index[:, :width])
    assert best[:, width:].eq(NEG_INF).all()


@pytest.mark.parametrize("vocabulary", [50, 8000])
def test_what_is_impossible_or_no_number_comes_last(vocabulary: int):
    scores, total = torch.randn(3, 4, vocabulary), torch.randn(3, 4)
    scores[0, 1] = torch.nan
    total[1, 2] = NEG_INF
    scores[2, :, 7:] = NEG_INF
    best, parent, token = best_continuations(scores, total, 10)
    assert best.isfinite().all()
    assert 1 not in parent[0] and 2 not in parent[1] and token[2].max() < 7
