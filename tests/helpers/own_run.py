"""The run of a user's two text files that tests share."""

from __future__ import annotations

from pathlib import Path

RECIPE = (
    "model=tiny subword.size=40 dataset.max_tokens=500 optimization.max_update=60 optimization.lr=[0.01] "
    "lr_scheduler.warmup_updates=20 task.eval_beam=2 model.dropout=0.1"
)


def overrides(own_files: Path, name: str = "default") -> str:
    files = f"data=files data.source={own_files}/letters.en data.target={own_files}/letters.de"
    return f"app=nmt name={name} {files} {RECIPE}"
