"""The protocol of a stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.stages.prepare.folder import check_prepared
from s2s_plugin.utils.console import route_logs


@dataclass(frozen=True)
class Job:
    """What one call of ``s2s`` works on."""

    cfg: DictConfig  # composed
    fairseq: DictConfig  # fairseq's part of it
    run_dir: RunDir
    prepared: Path  # with the training set; cfg.task.data is the folder that is read
    preparation: DictConfig | None = None  # makes the prepared folder; None: it need not be made


class Stage(ABC):
    """One step from a corpus to a report."""

    name: str

    def command(self, job: Job) -> str | None:
        """Return the plain fairseq command that does the same, if there is one."""
        return None

    def begin(self, job: Job) -> None:
        """Check what the stage starts from, and open the log and note the command in the run's folder."""
        route_logs(job.run_dir.log, job.cfg.verbose)
        check_prepared(job.cfg)
        if (command := self.command(job)) is not None:
            job.run_dir.save_command(self.name, command)

    def is_done(self, job: Job) -> bool:
        """Return whether the results of the same inputs and options are there already."""
        return False

    @abstractmethod
    def run(self, job: Job) -> None:
        """Do the work, or continue it where it stopped."""

    def summary(self, job: Job) -> str | None:
        """Return one line about the results, if there is something to say."""
        return None
