"""``bench/train_speed.py``: runs to its end. What it measures is not tested."""

from __future__ import annotations

import re

import pytest
from command_line import call


@pytest.mark.slow  # seconds of training by two programs
def test_quick_run_compares_two_decoders_with_stock():
    sizes = "--rounds 1 --sentences 2 --width 32 --vocabulary 60"
    lines = call(f"python bench/train_speed.py --quick {sizes}").stdout.splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == ["| stock lstm", "| luong", "| gnmt"]
    stock, ours = int(rows[0][2]), int(rows[1][2])
    assert stock < ours < 1.2 * stock  # parameters: of equal sizes
    assert re.fullmatch(r"train ours/stock = \d+\.\d\d \((luong|gnmt), (fp32|bf16)\)", lines[-1])
