"""Whether products are made in bf16 where nobody says so."""

import pytest
import torch

from s2s_plugin.tasks import precision


def test_without_the_instructions_nothing_is_timed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "INSTRUCTIONS", ())
    monkeypatch.setattr(precision, "_seconds", lambda dtype: pytest.fail("timed"))
    assert not precision.cpu_multiplies_bf16.__wrapped__()


@pytest.mark.parametrize(("bf16", "faster"), [(0.45, True), (0.9, False), (1.5, False)])
def test_with_them_the_faster_format_is_taken(monkeypatch: pytest.MonkeyPatch, bf16: float, faster: bool):
    monkeypatch.setattr(precision, "INSTRUCTIONS", ("is_available",))  # every CPU is
    monkeypatch.setattr(precision, "_seconds", lambda dtype: bf16 if dtype == torch.bfloat16 else 1.0)
    assert precision.cpu_multiplies_bf16.__wrapped__() == faster


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_takes_time(dtype: torch.dtype):
    assert precision._seconds(dtype) > 0
