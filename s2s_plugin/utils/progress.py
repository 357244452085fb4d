"""Progress of long work: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys

from tqdm import tqdm

LINE_INTERVAL = 10.0  # seconds between two plain lines


class Progress(tqdm):
    """Write whole lines where standard error is not a terminal; short work writes none."""

    def __init__(self, *args, line_interval: float = LINE_INTERVAL, **kwargs):
        self.plain = not sys.stderr.isatty()
        timing = {"mininterval": line_interval, "maxinterval": line_interval, "delay": line_interval, "ncols": 0}
        super().__init__(*args, leave=False, **{**kwargs, **(timing if self.plain else {})})

    def display(self, msg: str | None = None, pos: int | None = None) -> bool | None:
        if not self.plain:
            return super().display(msg, pos)
        if msg is None:  # otherwise tqdm clears its bar
            print(self, file=sys.stderr, flush=True)
        return None
