"""What is under version control is the whole project and nothing else."""

from __future__ import annotations

import subprocess

import pytest
from command_line import ROOT


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return done.stdout.splitlines()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this copy of the project is no git checkout")
def test_nothing_made_by_the_pipeline_is_tracked_and_no_link_leads_out():
    assert not git("ls-files", "--cached", "--ignored", "--exclude-standard")
    assert not [line for line in git("ls-files", "--stage") if line.startswith("120000")]  # symbolic links
