"""Commands that must fail, and how."""

from __future__ import annotations

from pathlib import Path

from command_line import call

# Quick enough to train in a test, and long enough to be worth stopping.
TINY = "model=tiny model.share_all_embeddings=true subword.size=40 optimization.max_update=3 checkpoint_metric=loss"


def mistake(folder: Path, command: str, *named: str) -> str:
    """Run ``command`` in ``folder``; it must fail in one line that holds every word of ``named``."""
    done = call(command, cwd=folder, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("s2s: error: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.rstrip().splitlines()[-1] == errors[0]
    for word in named:
        assert word in errors[0], errors[0]
    assert not list(folder.rglob("*.partial"))
    return errors[0]
