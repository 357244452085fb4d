"""The folder of a run: what each stage writes there."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.utils.digests import DIGESTS, check_digest
from s2s_plugin.utils.io import NUMBER, check_shape, read_json, write_text
from s2s_plugin.utils.untrusted import require_file

EMA = "checkpoint_best.ema.pt"  # moving average of the weights at the best checkpoint
AVERAGE = "checkpoint_average.pt"  # mean of the best checkpoints
REGENERATE = "restore a copy, or delete generated.json and run the generate stage again"
HEADING = re.compile(r"^# (\w+)\n", re.MULTILINE)  # of a stage in commands.txt
OPTIONAL = (str, type(None))
# Shapes of the files, see check_shape
SETTINGS = {"dictionaries?": {str: str}, "task.data?": str, "seconds_before?": NUMBER, "corpus?": str}
ORIGIN = {"toolkit": str}
RESULT = {"updates": int, "seconds": int, "best": (*NUMBER, type(None))}
INFO = {"subset": str, "checkpoint": str, "search": dict, "beam": int}
OUTPUT = {"id": int, "hypothesis": str, "reference?": (list, *OPTIONAL), "source?": OPTIONAL, "length?": int}
OUTPUT |= {"score?": (*NUMBER, type(None)), "item?": str, "media?": str, "speaker?": str, "direction?": str}
FINDING = {"title": str, "rows": [dict], "verdict": str, "remedy": str, "bars": [str], "note": str}
DIAGNOSIS = {"findings": [FINDING], "outputs?": str}
ATTENTION = {"id": int, "target_tokens": [str], "attention": [[NUMBER]], "source_tokens?": [str]}


class RunDir:
    """The files below ``runs/<app>/<name>/``."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "config.yaml"  # composed, of the last training
        self.fairseq_config = folder / "fairseq.yaml"  # the same for fairseq-hydra-train
        self.training_settings = folder / "settings.json"  # options that the checkpoints were trained with
        self.origin = folder / "imported.json"  # the toolkit that the model comes from, if it was not trained here
        self.training_result = folder / "trained.json"  # duration, best metric, size; when training has ended
        self.divergence = folder / "diverged.json"  # where training has diverged; until it goes on
        self.generation_info = folder / "generated.json"  # checkpoint and search; when generation has ended
        self.digests = folder / DIGESTS  # of the outputs
        self.data = folder / "data"  # of the prepared folder: codec, dictionaries, held-out sets
        self.data_summary = self.data / "prepared.json"  # with the license of the corpus
        self.log = folder / "log.txt"
        self.checkpoints = folder / "checkpoints"
        self.commands = folder / "commands.txt"  # the plain fairseq command of each stage
        self.outputs = folder / "outputs.jsonl"  # source, reference and hypothesis of every test item, in order
        self.attention = folder / "attention.jsonl"  # weights of a few items
        self.search_comparison = folder / "speed.json"  # quality of a faster search compared with the exact one
        self.baselines = folder / "baselines.json"  # outputs of the trivial baselines
        self.scores = folder / "scores.json"
        self.diagnosis = folder / "diagnosis.json"  # where the model is weak
        self.report = folder / "report.html"

    def best_checkpoint(self, averaged: bool = True) -> Path:
        """Return the checkpoint to decode with, if possible one of averaged weights.

        Raises:
            UserError: nothing has been trained here, or it is not a file.
        """
        for name in (*([EMA, AVERAGE] if averaged else []), "checkpoint_best.pt", "checkpoint_last.pt"):
            path = self.checkpoints / name
            if os.path.lexists(path):
                require_file(path, "checkpoint")
                return path
        raise UserError(f"{self.checkpoints}: no checkpoint; run the train stage first")

    def read_outputs(self) -> list[dict]:
        """Return the rows of ``outputs.jsonl``; none if it is missing."""
        return self._read_rows(self.outputs, OUTPUT)

    def read_attention(self) -> list[dict]:
        """Return the rows of ``attention.jsonl``; none if it is missing."""
        return self._read_rows(self.attention, ATTENTION)

    def read_diagnosis(self) -> dict[str, Any]:
        """Return ``diagnosis.json``; nothing if it is missing."""
        return read_json(self.diagnosis, DIAGNOSIS, "delete it and run s2s diagnose again") or {}

    def read_settings(self) -> dict[str, Any]:
        """Return ``settings.json``; nothing if it is missing."""
        return read_json(self.training_settings, SETTINGS) or {}

    def read_origin(self) -> str | None:
        """Return the toolkit that the model was imported from; None if it was trained here."""
        return (read_json(self.origin, ORIGIN) or {}).get("toolkit")

    def read_result(self) -> dict[str, Any]:
        """Return ``trained.json``; nothing if it is missing."""
        return read_json(self.training_result, RESULT) or {}

    def read_generation_info(self) -> dict[str, Any]:
        """Return ``generated.json``; nothing if it is missing."""
        return read_json(self.generation_info, INFO) or {}

    def _read_rows(self, path: Path, shape: dict) -> list[dict]:
        check_digest(path, REGENERATE)
        try:
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            rows = [json.loads(line) for line in text.split("\n") if line]
            check_shape(rows, [shape])
            return rows
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: damaged ({error}); {REGENERATE}") from None

    def read_commands(self) -> dict[str, str]:
        """Return the plain commands by stage."""
        try:
            text = self.commands.read_text(encoding="utf-8") if self.commands.is_file() else ""
            if text.strip() and not HEADING.match(text):
                raise ValueError
            _, *blocks = HEADING.split(text)
            return {name: command.strip() for name, command in zip(blocks[::2], blocks[1::2], strict=True)}
        except ValueError:
            raise UserError(f"{self.commands}: damaged; delete it, and run the stages again") from None

    def save_command(self, stage: str, command: str) -> None:
        """Write the stage's plain command to ``commands.txt``, in place of an earlier one."""
        sections = self.read_commands() | {stage: command}
        write_text(self.commands, "".join(f"# {name}\n{text}\n\n" for name, text in sections.items()))
