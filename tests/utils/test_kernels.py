"""How many of its kernels oneDNN keeps."""

import os
import subprocess
import sys

import pytest

CODE = """
import torch
from s2s_plugin.utils.kernels import KEPT, keep_few_kernels

keep_few_kernels()
packed = torch.ops.mkldnn._reorder_linear_weight(torch.zeros(8, 24))
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):
    for rows in 2 * list(range(1, KEPT + 2)):
        torch.ops.mkldnn._linear_pointwise(torch.zeros(rows, 24), packed, None, "none", [], "")
"""


@pytest.mark.parametrize(("capacity", "compiled"), [(None, 2 * 129), ("1024", 129)])
def test_few_kernels_are_kept_unless_the_user_wants_more(capacity: str | None, compiled: int):
    """One shape more than are kept, in turn: each is compiled again."""
    variable = {} if capacity is None else {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": capacity}
    done = subprocess.run([sys.executable, "-c", CODE], env=os.environ | variable, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if "create:cache_miss" in line and "ic24oc8" in line]
    assert len(lines) == compiled, done.stderr
