"""How busy the machine is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

MEMORY = re.compile(r"(MemTotal|MemAvailable): +(\d+) kB")
GPU_FIELDS = "utilization.gpu,memory.used,memory.total,temperature.gpu"
TIMEOUT = 5  # seconds


def machine_use() -> dict[str, str]:
    """Return the use of processors, memory and GPUs, each as a short text by its name; what is not known is missing."""
    use = {}
    if hasattr(os, "getloadavg"):
        use["Processors"] = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    memory = Path("/proc/meminfo")
    if memory.is_file():
        sizes = {name: int(size) * 1024 for name, size in MEMORY.findall(memory.read_text(encoding="ascii"))}
        used = sizes["MemTotal"] - sizes["MemAvailable"]
        use["Memory"] = f"{used / 2**30:.1f} of {sizes['MemTotal'] / 2**30:.1f} GiB"
    lines = _query_gpus()
    return use | {("GPU" if len(lines) == 1 else f"GPU {n}"): gpu_text(line) for n, line in enumerate(lines)}


def gpu_text(line: str) -> str:
    """Return one of nvidia-smi's lines of ``GPU_FIELDS`` as a text."""
    busy, used, total, degrees = (field.strip() for field in line.split(","))
    return f"{busy} % busy, {float(used) / 1024:.1f} of {float(total) / 1024:.1f} GiB, {degrees} °C"


def _query_gpus() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    words = [program, f"--query-gpu={GPU_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in done.stdout.splitlines() if line.count(",") == GPU_FIELDS.count(",") and "[" not in line]
