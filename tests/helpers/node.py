"""Run modules of the web page in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from command_line import ROOT

WEB = ROOT / "s2s_plugin/web"
NEEDS_NODE = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
READ = 'import fs from "node:fs"; const input = JSON.parse(fs.readFileSync(0, "utf8"));'
WRITE = "process.stdout.write(JSON.stringify(await run(input)));"


def run_module(code: str, value: Any) -> Any:
    """Return what the function ``run`` in some code makes of a value; it imports modules of the page from WEB."""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", f"{READ}\n{code}\n{WRITE}"],
        input=json.dumps(value), capture_output=True, text=True, cwd=WEB, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
