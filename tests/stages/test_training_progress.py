"""What is said during training: few lines in 80 columns, the last validation among them."""

from __future__ import annotations

import json
import logging

from s2s_plugin.stages.training_progress import NUM_LINES, TrainingProgress


def test_hundreds_of_epochs_in_a_minute_fill_no_screen(capsys):
    progress = TrainingProgress(0, "bleu")
    for epoch in range(1, 401):
        updates = str(250 * epoch)
        for record in (
            {"epoch": epoch, "update": epoch, "loss": "4.123", "wps": "10000", "num_updates": updates},
            {"epoch": epoch, "valid_loss": "4.123", "valid_bleu": f"{epoch / 10}", "valid_num_updates": updates},
        ):
            progress.emit(logging.makeLogRecord({"msg": json.dumps(record)}))
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == NUM_LINES + 1
    assert lines[-1] == "      epoch 400  100,000 updates  loss 4.12  valid bleu 40.00, loss 4.123  0:00"
    assert max(map(len, lines)) <= 80
