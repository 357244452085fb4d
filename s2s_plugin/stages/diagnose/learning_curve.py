"""Challenge 2 of Koehn and Knowles, the amount of training data: train on parts of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction

from s2s_plugin.diagnosis.subject import Finding, Row, Subject
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.base import Job
from s2s_plugin.stages.schema import fairseq_config, load_config
from s2s_plugin.stages.train import TrainStage
from s2s_plugin.utils.console import say

SHARES = (Fraction(1, 27), Fraction(1, 9), Fraction(1, 3))
VALIDATIONS = 10  # of each training
STEEP = 2.0  # points for three times the data, from which more data is worth while


def learning_curve(job: Job, subject: Subject) -> Finding:
    """Train on 1/27, 1/9 and 1/3 of the pairs with the settings of the run, and score each on the test set.

    The runs lie in ``shares/`` in the folder of the run; those that are there are used again.

    Raises:
        UserError: the training data is gone.
    """
    if not any(job.prepared.glob("train.*")):
        raise UserError(f"{job.prepared}: has no training data; run s2s prepare again, or leave out the measure data")
    references = [output.references for output in subject.outputs]
    rows: list[Row] = []
    for share in SHARES:
        say(f"      data: training on {share} of the pairs")
        part = _train(job, share)
        texts = [each.text for each in replace(subject, cfg=part.cfg, run=part.run_dir).decode(subject.outputs)]
        rows.append({"training pairs": str(share), subject.metric: subject.score(texts, references)["score"]})
    whole = subject.score([output.hypothesis for output in subject.outputs], references)
    rows.append({"training pairs": "all", subject.metric: whole["score"]})
    gains = subject.gain(whole["score"], float(rows[-2][subject.metric] or 0))
    verdict = f"Three times the training pairs, from a third to all, bring {gains:.1f} {subject.metric}"
    if gains >= STEEP:
        verdict, remedy = f"{verdict}: more data would help.", "more pairs; data.extra_source with data.extra_target"
    else:
        verdict, remedy = f"{verdict}: more of the same data would help little.", "a larger model; other data"
    return Finding("Amount of data", rows, verdict, remedy, (subject.metric,), f"{subject.metric} {whole['signature']}")


def _train(job: Job, share: Fraction) -> Job:
    """Train on a share of the pairs, unless that has been done; return the job of it."""
    cfg, run_dir = (
        load_config(job.run_dir.config),
        RunDir(job.run_dir.folder / "shares" / f"{share.numerator}-{share.denominator}"),
    )
    cfg.run_dir, cfg.checkpoint.save_dir = str(run_dir.folder), str(run_dir.checkpoints)
    cfg.task.data, cfg.task.train_share = str(job.prepared), float(share)
    # Epochs of few pairs are short: validate as often over the updates as a training on all pairs would.
    updates = max(1, job.run_dir.read_result().get("updates", 0) // VALIDATIONS)
    cfg.dataset.validate_interval = cfg.checkpoint.save_interval = sys.maxsize
    cfg.dataset.validate_interval_updates = cfg.checkpoint.save_interval_updates = updates
    part, stage = replace(job, cfg=cfg, fairseq=fairseq_config(cfg), run_dir=run_dir), TrainStage()
    stage.begin(part)
    if not stage.is_done(part):
        stage.run(part)
    return part
