"""Whether products are made in bf16 where nobody says so."""

import pytest
import torch

from s2s_plugin.tasks import precision


def test_without_the_instructions_nothing_is_timed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "CPU_FEATURES", ())
    monkeypatch.setattr(precision, "time_products", lambda *dtypes: pytest.fail("timed"))
    assert not precision.bf16_is_faster_on_cpu.__wrapped__()


@pytest.mark.parametrize(("bf16", "faster"), [(0.45, True), (0.9, False), (1.5, False)])
def test_with_them_the_faster_format_is_taken(monkeypatch: pytest.MonkeyPatch, bf16: float, faster: bool):
    monkeypatch.setattr(precision, "CPU_FEATURES", ("is_available",))  # every CPU is
    monkeypatch.setattr(precision, "time_products", lambda *dtypes: dict(zip(dtypes, (1.0, bf16), strict=True)))
    assert precision.bf16_is_faster_on_cpu.__wrapped__() == faster


def test_products_take_time():
    seconds = precision.time_products(torch.float32, torch.bfloat16)
    assert list(seconds) == [torch.float32, torch.bfloat16] and min(seconds.values()) > 0


def test_who_says_so_is_obeyed():
    devices = torch.device("cpu"), torch.device("cuda")
    assert [precision.use_bf16("bf16", device) for device in devices] == [True, True]
    assert [precision.use_bf16("fp32", device) for device in devices] == [False, False]
    assert not precision.use_bf16("auto", devices[1])  # there it is the trainer's, common.bf16
