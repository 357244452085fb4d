"""How far long work has come: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys

from tqdm import tqdm

NOTE_EVERY = 10.0  # seconds between two plain lines


class Progress(tqdm):
    """tqdm that writes whole lines, the first after a while, where standard error is not a terminal."""

    def __init__(self, *args, note_every: float = NOTE_EVERY, **kwargs):
        self.plain = not sys.stderr.isatty()
        timing = {"mininterval": note_every, "maxinterval": note_every, "delay": note_every, "ncols": 0}
        super().__init__(*args, leave=False, **{**kwargs, **(timing if self.plain else {})})

    def display(self, msg: str | None = None, pos: int | None = None) -> bool | None:
        if not self.plain:
            return super().display(msg, pos)
        if msg is None:  # else tqdm wipes its bar
            print(self, file=sys.stderr, flush=True)
        return None
