"""What is said during training: a bar on a terminal, and lines about validations."""

from __future__ import annotations

import logging
import sys
import time

from tqdm import tqdm

from s2s_plugin.report.log import progress_record
from s2s_plugin.utils.console import clock, say
from s2s_plugin.utils.progress import LINE_INTERVAL

NUM_LINES = 10  # without an interval


class TrainingProgress(logging.Handler):
    """Turn fairseq's progress records into a bar of ``updates`` (0: no limit) and lines about validations.

    A small corpus is validated several times a second: after the first lines there is one now and then, and the last.
    """

    def __init__(self, updates: int, metric: str):
        super().__init__(logging.INFO)
        self.metric = metric
        self.started = self.said_at = time.monotonic()
        self.num_said, self.unsaid, self.loss = 0, "", ""
        self.bar = tqdm(total=updates or None, unit="up", disable=None, leave=False, file=sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        values = progress_record(message)
        if message.startswith("early stop"):
            self._say(f"      {message}")
        if values is None:
            return
        updates = values.get("num_updates") or values.get("train_num_updates") or values.get("valid_num_updates")
        if updates is not None:
            self.bar.update(int(updates) - self.bar.n)
        if "loss" in values:
            self.loss = values["loss"]
            self.bar.set_postfix_str(f"loss {self.loss} bits, {float(values['wps']) / 1000:.1f}k words/s")
        if "valid_loss" in values:
            self.unsaid = self._validation(values, int(updates or 0))
            if self.num_said < NUM_LINES or time.monotonic() - self.said_at > LINE_INTERVAL:
                self._say()

    def _say(self, more: str = "") -> None:
        """Print the last validation, if it has not been said, and one more line."""
        for line in filter(None, (self.unsaid, more)):
            say(line)
        self.num_said, self.said_at, self.unsaid = self.num_said + 1, time.monotonic(), ""

    def _validation(self, values: dict, updates: int) -> str:
        loss = f"  loss {float(self.loss):.2f}" if self.loss else ""
        metric = ""
        if f"valid_{self.metric}" in values and self.metric != "loss":
            metric = f"{self.metric} {float(values[f'valid_{self.metric}']):.2f}, "
        valid = f"valid {metric}loss {float(values['valid_loss']):.3f}"
        elapsed = clock(time.monotonic() - self.started)
        return f"      epoch {values['epoch']}  {updates:,} updates{loss}  {valid}  {elapsed}"

    def close(self) -> None:
        self._say()
        self.bar.close()
        super().close()
