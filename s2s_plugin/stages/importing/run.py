"""Write a model of another toolkit as a run, which is used like one that was trained here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.config import Seq2SeqConfig
from s2s_plugin.models.peers.parts import Imported
from s2s_plugin.stages.importing.segmentation import Models, write_codec
from s2s_plugin.stages.schema import DataConfig
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.text.vocabulary import SubwordConfig
from s2s_plugin.utils.checkpoint import save_checkpoint, untrained_state
from s2s_plugin.utils.digests import record_digests
from s2s_plugin.utils.io import atomic_folder, write_json
from s2s_plugin.utils.paths import CONF, PACKAGE
from s2s_plugin.utils.untrusted import write_yaml

APP = "nmt"
LANGUAGES = ("src", "tgt")  # of a model whose files do not name them
POSITIONS = {"max_source_positions": 1024, "max_target_positions": 1024}


class Foreign(NamedTuple):
    """A model of another toolkit, and how it reads and writes text.

    Attributes:
        toolkit: its name.
        model: as ours.
        languages: of source and target.
        segmentation: SentencePiece models of source and target; None: it reads and writes tokens.
    """

    toolkit: str
    model: Imported
    languages: tuple[str, str]
    segmentation: Models | None = None


def write_run(foreign: Foreign, folder: Path) -> None:
    """Write the folder of a run: checkpoint, config, dictionaries, and the codec of its text if it has one.

    Raises:
        UserError: a SentencePiece model cannot be read, or is not that of the vocabulary.
    """
    source, target = foreign.languages
    task = {"data": str(RunDir(folder).data), "source_lang": source, "target_lang": target}
    stored = stored_config(model_config(foreign.model.options), task)
    with atomic_folder(folder) as partial:
        run = RunDir(partial)
        run.data.mkdir()
        run.checkpoints.mkdir()
        sides = {source: foreign.model.source, target: foreign.model.target}
        for language, dictionary in sides.items():
            dictionary.save(str(run.data / f"dict.{language}.txt"))
        if foreign.segmentation is not None:
            write_codec(run.data, foreign.segmentation, sides)
        record_digests(run.data)
        weights = {name: value.clone().contiguous() for name, value in foreign.model.weights.items()}
        save_checkpoint(untrained_state(stored, weights), run.checkpoints / "checkpoint_best.pt")
        config = yaml.safe_dump(_run_config(folder.name, foreign, stored), allow_unicode=True, sort_keys=False)
        write_yaml(run.config, config)
        write_json(run.origin, {"toolkit": foreign.toolkit})


def model_config(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return our model's config for the options that are not defaults."""
    return {**asdict(Seq2SeqConfig()), **POSITIONS, **options, "_name": "s2s"}


def stored_config(model: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Return fairseq's config in a checkpoint of this model, for the options of the task that are not defaults."""
    cfg = OmegaConf.structured(FairseqConfig)
    options: dict[Any, Any] = {**task, **{name: model[name] for name in POSITIONS}, "_name": "s2s"}
    cfg.task = OmegaConf.merge(OmegaConf.structured(Seq2SeqTaskConfig), options)
    plain: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    criterion = {"_name": "s2s_cross_entropy", "label_smoothing": 0.1, "sentence_avg": False}
    return {**plain, "model": dict(model), "criterion": criterion}


def _run_config(name: str, foreign: Foreign, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the run: what decoding needs, with the search of ``conf/``."""
    source, target = foreign.languages
    search: Any = OmegaConf.to_container(OmegaConf.load(CONF / "search" / "beam.yaml"))
    return {
        "app": APP,
        "name": name,
        "common": {"user_dir": PACKAGE.name},
        "data": asdict(DataConfig(name=foreign.toolkit, source_lang=source, target_lang=target)),
        "subword": asdict(SubwordConfig(joint=False)),
        "task": stored["task"],
        "model": stored["model"],
        "generation": stored["generation"] | search,
        "output_parser": "none",
    }
