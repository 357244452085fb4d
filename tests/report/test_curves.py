"""Learning curves out of fairseq's log, and the charts' ticks."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from report_run import inner, valid

from s2s_plugin.report.drawing.style import PALETTE
from s2s_plugin.report.log import read_curves
from s2s_plugin.report.sections.curves import Panel, downsample, make_panels


def test_log_keeps_the_last_of_repeated_updates(tmp_path: Path) -> None:
    """Stopped after 200 and continued from the checkpoint at 100: all that came after 100 is replaced."""
    log = tmp_path / "log.txt"
    first = [inner(50, 9), inner(100, 8), valid(100, 7, 1), inner(150, 6.5), inner(200, 6), valid(200, 5, 2)]
    log.write_text("\n".join([*first, "restored", inner(150, 4), "nonsense {", inner(200, 3), inner(250, "nan")]))
    curves = read_curves(log)
    assert curves.inner == {50: 9, 100: 8, 150: 4, 200: 3}
    assert curves.valid["loss"]["valid"] == {100: 7}
    log.write_text(log.read_text() + "\n" + valid(200, 2.5, 30) + "\n" + valid(200, 2.25, 31))
    curves = read_curves(log)
    assert curves.valid["bleu"]["valid"] == {100: 1, 200: 31}
    assert set(curves.valid) == {"loss", "nll_loss", "ppl", "bleu"}
    panels = make_panels(curves)
    assert [panel.title for panel in panels] == ["Loss", "BLEU", "Perplexity"]
    assert [panel.best for panel in panels] == [(200, 2.25), (200, 31), (200, round(2**2.25, 2))]


def test_log_with_epochs_and_other_metrics(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    epoch = {"epoch": 1, "train_loss": "5.5", "train_num_updates": "40", "train_lr": "0.1", "train_wall": "3"}
    other = {"epoch": 1, "dev2_wer": "44.5", "dev2_sari": "1", "dev2_num_updates": "40"}
    log.write_text(f"{json.dumps(epoch)}\n{json.dumps(other)}\n")
    curves = read_curves(log)
    assert curves.train == {40: 5.5}
    panels = make_panels(curves)
    assert [(panel.title, panel.best) for panel in panels] == [
        ("Loss", None),
        ("WER", (40, 44.5)),
        ("sari", None),  # higher or lower may be better
    ]


def test_downsampling_keeps_the_mean() -> None:
    points = [(float(x), float(x % 7)) for x in range(1000)]
    fewer = downsample(points, limit=100)
    assert len(fewer) == 100
    assert math.isclose(sum(y for _, y in fewer) / 100, sum(y for _, y in points) / 1000)


def test_the_best_is_one_that_was_measured(tmp_path: Path) -> None:
    """Of more validations than are drawn."""
    log = tmp_path / "log.txt"
    log.write_text("\n".join(valid(update, 5, update % 7 + (20 if update == 701 else 0)) for update in range(1, 1001)))
    bleu = next(panel for panel in make_panels(read_curves(log)) if panel.title == "BLEU")
    assert bleu.best == (701, 21)
    assert len(downsample(bleu.series["valid"])) < 400


def test_svg_has_the_colors_of_the_page_and_no_ids() -> None:
    """And a tooltip on every point that was measured."""
    points = [(100.0, 9.0), (200.0, 0.5)]
    panel = Panel("Loss", {"train": points, "valid": points}, points[1])
    svg = panel.svg()
    assert svg.startswith('<svg viewBox="0 0 400 230" role="img" aria-label="Loss over updates">')
    assert {"var(--s0)", "var(--s1)", "var(--ink)", "var(--quiet)", "var(--rule)"} <= set(
        re.findall(r"var\([^)]*\)", svg)
    )
    assert not any(part in svg for part in (" id=", "url(", "href", "<style", *PALETTE.values()))
    assert re.findall("<title>(.*?)</title>", svg) == ["9 at update 100", "0.5 at update 200"]
    assert ">updates</text>" in svg
