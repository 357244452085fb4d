"""The folder of a run: what each stage writes there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_lines, write_text

EMA = "checkpoint_best.ema.pt"  # moving average of the weights at the best checkpoint
AVERAGE = "checkpoint_average.pt"  # mean of the best checkpoints


@dataclass(frozen=True)
class RunDir:
    """The files below ``runs/<app>/<name>/``."""

    folder: Path

    @property
    def config(self) -> Path:
        """The composed config of the last training."""
        return self.folder / "config.yaml"

    @property
    def fairseq_config(self) -> Path:
        """The same for fairseq-hydra-train."""
        return self.folder / "fairseq.yaml"

    @property
    def training_settings(self) -> Path:
        """The options that the checkpoints were trained with."""
        return self.folder / "settings.json"

    @property
    def training_result(self) -> Path:
        """Duration, best metric and size of the model; written when training has ended."""
        return self.folder / "trained.json"

    @property
    def generation_info(self) -> Path:
        """The checkpoint and the search that made the outputs; written when generation has ended."""
        return self.folder / "generated.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def commands(self) -> Path:
        """The plain fairseq command of each stage."""
        return self.folder / "commands.txt"

    @property
    def outputs(self) -> Path:
        """Source, reference and hypothesis of every test item, in corpus order."""
        return self.folder / "outputs.jsonl"

    @property
    def attention(self) -> Path:
        """Attention weights of a few items."""
        return self.folder / "attention.jsonl"

    @property
    def search_comparison(self) -> Path:
        """Quality of a faster search compared with the exact one."""
        return self.folder / "speed.json"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

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
        """Return the rows of :attr:`outputs`."""
        return [json.loads(line) for line in read_lines(self.outputs)]

    def read_commands(self) -> dict[str, str]:
        """Return the plain commands by stage."""
        blocks = self.commands.read_text(encoding="utf-8").split("# ")[1:] if self.commands.is_file() else []
        return dict(block.strip().split("\n", 1) for block in blocks)

    def save_command(self, stage: str, command: str) -> None:
        """Write the stage's plain command to :attr:`commands`, in place of an earlier one."""
        sections = self.read_commands() | {stage: command}
        write_text(self.commands, "".join(f"# {name}\n{text}\n\n" for name, text in sections.items()))
