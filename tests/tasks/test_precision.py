"""Whether products are made in bf16 where nobody says so."""

import pytest
import torch

from s2s_plugin.tasks import precision


def test_without_the_instructions_nothing_is_timed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "INSTRUCTIONS", ())
    monkeypatch.setattr(precision, "seconds", lambda *formats: pytest.fail("timed"))
    assert not precision.cpu_multiplies_bf16.__wrapped__()


@pytest.mark.parametrize(("bf16", "faster"), [(0.45, True), (0.9, False), (1.5, False)])
def test_with_them_the_faster_format_is_taken(monkeypatch: pytest.MonkeyPatch, bf16: float, faster: bool):
    monkeypatch.setattr(precision, "INSTRUCTIONS", ("is_available",))  # every CPU is
    monkeypatch.setattr(precision, "seconds", lambda *formats: dict(zip(formats, (1.0, bf16), strict=True)))
    assert precision.cpu_multiplies_bf16.__wrapped__() == faster


def test_products_take_time():
    took = precision.seconds(torch.float32, torch.bfloat16)
    assert list(took) == [torch.float32, torch.bfloat16] and min(took.values()) > 0


def test_who_says_so_is_obeyed():
    devices = torch.device("cpu"), torch.device("cuda")
    assert [precision.in_bf16("bf16", device) for device in devices] == [True, True]
    assert [precision.in_bf16("fp32", device) for device in devices] == [False, False]
    assert not precision.in_bf16("auto", devices[1])  # there it is the trainer's, common.bf16
