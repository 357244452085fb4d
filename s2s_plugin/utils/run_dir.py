"""A run's folder: what each stage writes there, and whether it has done so already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils.io import read_lines, write_text

EMA = "checkpoint_best.ema.pt"  # of the best checkpoint, the moving average of the weights
AVERAGE = "checkpoint_average.pt"  # the mean of the best checkpoints


@dataclass(frozen=True)
class Run:
    """Files below ``runs/<app>/<name>/``."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def fairseq_config(self) -> Path:
        """What fairseq-hydra-train takes."""
        return self.folder / "fairseq.yaml"

    @property
    def settings(self) -> Path:
        """What the checkpoints were trained with."""
        return self.folder / "settings.json"

    @property
    def generated(self) -> Path:
        """With what the outputs were made."""
        return self.folder / "generated.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def trained(self) -> Path:
        """Written when training has ended."""
        return self.folder / "trained.json"

    @property
    def commands(self) -> Path:
        return self.folder / "commands.txt"

    @property
    def outputs(self) -> Path:
        """Source, reference and hypothesis of every test item, in corpus order."""
        return self.folder / "outputs.jsonl"

    @property
    def attention(self) -> Path:
        return self.folder / "attention.jsonl"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.json"

    def best_checkpoint(self, averaged: bool = True) -> Path:
        """What to decode with: an average of weights where there is one.

        Raises:
            UserError: nothing has been trained here.
        """
        for name in (*([EMA, AVERAGE] if averaged else []), "checkpoint_best.pt", "checkpoint_last.pt"):
            if (self.checkpoints / name).is_file():
                return self.checkpoints / name
        raise UserError(f"{self.checkpoints}: no checkpoint; run the train stage first")

    def read_outputs(self) -> list[dict]:
        """The rows of :attr:`outputs`."""
        return [json.loads(line) for line in read_lines(self.outputs)]

    def note_command(self, stage: str, command: str) -> None:
        """Keep the stage's plain command in ``commands.txt``."""
        sections = read_commands(self.commands)
        sections[stage] = command
        write_text(self.commands, "".join(f"# {name}\n{text}\n\n" for name, text in sections.items()))


def read_commands(path: Path) -> dict[str, str]:
    """Stage name to command."""
    if not path.is_file():
        return {}
    blocks = path.read_text(encoding="utf-8").split("# ")[1:]
    return {name: text.strip() for name, _, text in (block.partition("\n") for block in blocks)}
