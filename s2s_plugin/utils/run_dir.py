"""The folder of a run: what each stage writes there."""

from __future__ import annotations

import json
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_lines, write_text

EMA = "checkpoint_best.ema.pt"  # moving average of the weights at the best checkpoint
AVERAGE = "checkpoint_average.pt"  # mean of the best checkpoints


class RunDir:
    """The files below ``runs/<app>/<name>/``."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "config.yaml"  # composed, of the last training
        self.fairseq_config = folder / "fairseq.yaml"  # the same for fairseq-hydra-train
        self.training_settings = folder / "settings.json"  # options that the checkpoints were trained with
        self.training_result = folder / "trained.json"  # duration, best metric, size; when training has ended
        self.generation_info = folder / "generated.json"  # checkpoint and search; when generation has ended
        self.log = folder / "log.txt"
        self.checkpoints = folder / "checkpoints"
        self.commands = folder / "commands.txt"  # the plain fairseq command of each stage
        self.outputs = folder / "outputs.jsonl"  # source, reference and hypothesis of every test item, in order
        self.attention = folder / "attention.jsonl"  # weights of a few items
        self.search_comparison = folder / "speed.json"  # quality of a faster search compared with the exact one
        self.scores = folder / "scores.json"
        self.report = folder / "report.html"

    def best_checkpoint(self, averaged: bool = True) -> Path:
        """Return the checkpoint to decode with, if possible one of averaged weights.

        Raises:
            UserError: nothing has been trained here.
        """
        for name in (*([EMA, AVERAGE] if averaged else []), "checkpoint_best.pt", "checkpoint_last.pt"):
            if (self.checkpoints / name).is_file():
                return self.checkpoints / name
        raise UserError(f"{self.checkpoints}: no checkpoint; run the train stage first")

    def read_outputs(self) -> list[dict]:
        """Return the rows of ``outputs.jsonl``."""
        return [json.loads(line) for line in read_lines(self.outputs)]

    def read_commands(self) -> dict[str, str]:
        """Return the plain commands by stage."""
        blocks = self.commands.read_text(encoding="utf-8").split("# ")[1:] if self.commands.is_file() else []
        return dict(block.strip().split("\n", 1) for block in blocks)

    def save_command(self, stage: str, command: str) -> None:
        """Write the stage's plain command to ``commands.txt``, in place of an earlier one."""
        sections = self.read_commands() | {stage: command}
        write_text(self.commands, "".join(f"# {name}\n{text}\n\n" for name, text in sections.items()))
