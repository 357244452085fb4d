"""The typed schema of ``conf/``, and its conversion to fairseq's own config."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.utils import omegaconf_no_object_check
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from s2s_plugin.corpora import directions, tables
from s2s_plugin.datasets.frontends.audio import AudioConfig
from s2s_plugin.datasets.frontends.image import ImageConfig
from s2s_plugin.datasets.frontends.video import VideoConfig
from s2s_plugin.datasets.manifest import read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.scoring.validation import HIGHER_IS_BETTER
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.tasks.user_dir import import_stored
from s2s_plugin.text.vocabulary import SubwordConfig
from s2s_plugin.utils.options import DECODING, DISPLAY, SPEED, TRAINING_AND_DECODING, option
from s2s_plugin.utils.paths import CONF, existing_form
from s2s_plugin.utils.untrusted import load_yaml, show

FAIRSEQ_GROUPS = ("criterion", "optimizer", "lr_scheduler")


@dataclass
class DataConfig:
    """Where the pairs come from: a recipe of ``data/``, or the user's own files.

    ``source_lang`` is a language, or audio, video or image; a list of languages or of files makes several directions
    in one model (see ``s2s_plugin/corpora/directions.py``).
    """

    name: str = option(MISSING, "name of the corpus, part of the prepared folder's name")
    source_lang: Any = option(MISSING, "source language, or audio, video or image; a list makes several directions")
    target_lang: Any = option(MISSING, "target language; a list makes several directions")
    history: int = option(1, "maximum number of turns of a conversation in a source", TRAINING_AND_DECODING)
    recipe: Optional[str] = option(None, "folder below data/ whose prepare.py makes the corpus, or a registered recipe")
    options: dict[str, Any] = option({}, "further arguments of the recipe")
    from_dir: Optional[str] = option(None, "folder with the recipe's raw files, instead of a download")
    pairs: Optional[str] = option(None, "own table with both sides: CSV, TSV, JSON, JSON lines, Parquet, or a folder")
    valid_pairs: Optional[str] = option(None, "own table for validation; default: split off the training table")
    test_pairs: Optional[str] = option(None, "own table for the test set; default: split off the training table")
    extra_pairs: Optional[str] = option(None, "table with additional training pairs")
    source_column: Any = option(None, "column of the sources, by name or number; default: recognized by its name")
    target_column: Any = option(None, "column of the targets, by name or number; default: recognized by its name")
    source: Any = option(None, "own text: file of training sources, one per line")
    target: Any = option(None, "own text: file of training targets, one per line")
    valid_source: Any = option(None, "own validation sources; default: split off the training files")
    valid_target: Any = option(None, "own validation targets")
    test_source: Any = option(None, "own test sources; default: split off the training files")
    test_target: Any = option(None, "own test targets")
    extra_source: Any = option(None, "additional training sources, such as back-translations")
    extra_target: Any = option(None, "additional training targets")
    extra_tag: Optional[str] = option(
        None, "word before the sources of all additional pairs, which tells where they are from, such as <bt>"
    )
    dialogues: Optional[str] = option(None, "own conversations: one turn per line, an empty line between conversations")
    valid_dialogues: Optional[str] = option(None, "own conversations for validation")
    test_dialogues: Optional[str] = option(None, "own conversations for the test set")
    manifest: Optional[str] = option(None, "own media: TSV with the columns id, audio|video|image, tgt_text")
    valid_manifest: Optional[str] = option(None, "own manifest for validation")
    test_manifest: Optional[str] = option(None, "own manifest for the test set")
    recombine: int = option(0, "number of training pairs to make from words that occur in the same environment")
    retrieval: bool = option(False, "put before each source the target of the most similar training source")
    concatenate: int = option(
        1, "add as many training pairs again, each joined from 2 to this many of them, for long inputs; 1: none"
    )
    shared_targets: bool = option(False, "allow held-out targets that also occur in training, as replies do")
    drop_overlap: bool = option(False, "leave out training pairs that share a side or file with own held-out files")
    held_out: int = option(1000, "pairs of each held-out set that is split off the training files; at most a tenth")
    max_length: int = option(1000, "maximum length in tokens: longer training pairs are dropped, others refused")
    several_references: bool = option(
        False, "held-out pairs with the same source are one item with several references", DECODING
    )
    on_bad_item: str = option("error", "error, or skip: leave out unusable lines and media with a message", DISPLAY)


@dataclass
class ChatConfig:
    """Options of ``s2s chat``."""

    candidates: int = option(10, "number of hypotheses from which the reply is chosen", DECODING)
    generic_penalty: float = option(0.1, "penalty per log count of a reply in training", DECODING)
    threshold: Optional[float] = option(
        None, "confidence below which the fallback is used; default: tuned on the validation set", DECODING
    )
    fallback: str = option("Sorry, I do not know what to say to that.", "reply below the threshold", DECODING)


@dataclass
class DiagnoseConfig:
    """Options of ``s2s diagnose``."""

    measures: list[str] = option(
        ["length", "words", "domain", "alignment", "source", "beam"],
        "what is measured: length, words, domain, alignment, source, beam; data, which trains on parts of the pairs",
        DISPLAY,
    )
    beams: list[int] = option([1, 2, 5, 10, 20, 50, 100], "beam sizes to compare", DISPLAY)
    challenge: list[str] = option([], "further test sets: name=source:reference", DISPLAY)
    alignments: Optional[str] = option(
        None, "word alignments of the test set, a line of links as 0-0 1-2 for each item; default: eflomal's", DISPLAY
    )


@dataclass
class ExplainConfig:
    """Options of ``s2s attention`` and ``s2s explain``."""

    png: Optional[str] = option(
        None, "picture of the attention to write; further sentences have NAME-2.png, ...", DISPLAY
    )
    json: bool = option(False, "print an object in JSON for each sentence, with all numbers", DISPLAY)
    neighbors: int = option(3, "number of most similar training pairs to show; 0: training text is not read", DISPLAY)
    rivals: int = option(4, "number of the beam's other hypotheses to show", DISPLAY)


@dataclass
class CheckConfig:
    """Options of ``s2s check``."""

    run: Optional[str] = option(None, "folder of a trained run whose loss on each training pair is computed", DISPLAY)
    write: Optional[str] = option(None, "new folder for a copy without the rows of check.remove", DISPLAY)
    remove: list[str] = option(
        ["errors", "warnings"],
        "what check.write leaves out of training: errors, warnings, or names of findings",
        DISPLAY,
    )
    examples: int = option(3, "rows that are shown of each finding", DISPLAY)
    json: bool = option(False, "print the findings as an object in JSON", DISPLAY)


@dataclass
class RunConfig(FairseqConfig):
    """fairseq's config, and the options of a run that fairseq does not have."""

    app: str = option(
        MISSING, "application: nmt, asr, lipread, caption, g2p, code, summarize or chatbot", TRAINING_AND_DECODING
    )
    name: str = option("default", "name of the run", DISPLAY)
    run_dir: str = option(MISSING, "folder of the run; default: runs/APP/NAME", DISPLAY)
    prepared_dir: str = option("data-bin", "folder for prepared data and downloads", saved=True)
    verbose: bool = option(False, "print everything that goes to log.txt", DISPLAY)
    checkpoint_metric: str = option(
        "loss", "selects the best checkpoint: loss, or a metric of the validation", saved=True
    )
    average: int = option(0, "number of best checkpoints to average for decoding, if the mean validates no worse")
    finetune_from: Optional[str] = option(None, "run (name or folder) whose model and vocabulary initialize this one")
    workers: int = option(0, "processes that prepare data and decode on a CPU; 0: chosen by the number of cores", SPEED)
    metrics: list[str] = option([], "scorers of the score stage", DISPLAY, saved=True)
    perplexity: bool = option(False, "compute the perplexity of the references in the score stage", DISPLAY, saved=True)
    baselines: list[str] = option(
        [], "trivial baselines to score: copy, lead, neighbour, frequent", DISPLAY, saved=True
    )
    output_parser: str = option(
        "none", "bash or python: prefer the first hypothesis of the beam that parses", DECODING, saved=True
    )
    live: bool = option(False, "serve a page of the training at 127.0.0.1 while it runs, see s2s live", DISPLAY)
    examples: int = option(5, "number of outputs that a run prints at its end", DISPLAY)
    translate_to: Optional[str] = option(None, "target language of s2s translate, for a model of several", DECODING)
    window: int = option(
        0, "words that s2s translate reads at once; a longer line is read in overlapping windows; 0: all", DECODING
    )
    data: DataConfig = field(default_factory=DataConfig, metadata={"saved": True})
    subword: SubwordConfig = field(default_factory=SubwordConfig, metadata={"saved": True})
    audio: AudioConfig = field(default_factory=AudioConfig, metadata={"saved": True})
    video: VideoConfig = field(default_factory=VideoConfig, metadata={"saved": True})
    image: ImageConfig = field(default_factory=ImageConfig, metadata={"saved": True})
    chat: ChatConfig = field(default_factory=ChatConfig, metadata={"saved": True})
    diagnose: DiagnoseConfig = field(default_factory=DiagnoseConfig)
    explain: ExplainConfig = field(default_factory=ExplainConfig)
    check: CheckConfig = field(default_factory=CheckConfig)


def register() -> None:
    """Register the schema and the resolvers of ``conf/``; importing the plugin has registered fairseq's parts."""
    # Hydra copies the store for each config, which takes almost half of the time; nothing changes it.
    ConfigStore.__deepcopy__ = lambda store, _: store  # type: ignore[attr-defined]
    store = ConfigStore.instance()
    store.store(name="s2s_schema", node=RunConfig, provider="s2s")
    for group in FAIRSEQ_GROUPS:
        parts = store.repo[group]
        for path in (CONF / group).glob("*.yaml"):  # each changes defaults of fairseq's part of the same name
            name = f"fairseq_{path.name}"
            parts[name] = replace(parts[path.name], name=name, provider="s2s")
    OmegaConf.register_new_resolver("validation_metric", lambda name: "none" if name == "loss" else name, replace=True)
    OmegaConf.register_new_resolver("higher_is_better", lambda name: name in HIGHER_IS_BETTER, replace=True)
    OmegaConf.register_new_resolver("count", lambda *lists: sum(map(len, lists)), replace=True)
    OmegaConf.register_new_resolver("none_if_zero", lambda count: count or -1, replace=True)  # fairseq's word for none
    OmegaConf.register_new_resolver("gpu_count", torch.cuda.device_count, replace=True)
    OmegaConf.register_new_resolver("modality", _modality, replace=True)
    OmegaConf.register_new_resolver("existing_form", existing_form, replace=True)
    OmegaConf.register_new_resolver("own_language", _own_language, replace=True)


def _own_language(side: str, _parent_: DictConfig) -> str:
    """Return the language of a side of the user's pairs: a column's name, or the endings of files: ``de+ko``."""
    if _parent_.pairs is not None:
        return tables.languages(_parent_)[directions.SIDES.index(side)]
    files = _parent_[side]
    names = files if isinstance(files, ListConfig) else [files]
    return "+".join(dict.fromkeys(map(directions.file_language, names)))


def load_config(path: Path) -> DictConfig:
    """Read the config of a run, which may be a stranger's: options of the schema, nothing resolved.

    Raises:
        UserError: it is not such a config.
    """
    content = load_yaml(path)
    if isinstance(common := content.get("common"), dict):
        import_stored(common.get("user_dir"), path)  # registers what the config may name
    saved = check_config(content, RunConfig, path)
    if (other := (saved.get("generation") or {}).get("lm_path")) is not None:  # fairseq would load any model there
        raise UserError(f"{path}: generation.lm_path must be set on the command line, got {show(other)}; delete it")
    if saved.get("task"):
        saved["task"]["knn"] = None  # faiss would read any file there
    return OmegaConf.create(saved)


def choices(group: str, folders: Sequence[Path] = (CONF,)) -> tuple[str, ...]:
    """Return what ``group=`` may be set to: files of these folders, and parts of fairseq that Hydra can configure."""
    ours = {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
    theirs = {Path(name).stem for name in ConfigStore.instance().repo.get(group, {})}
    return tuple(sorted(ours | {name for name in theirs if not name.startswith("fairseq_")}))


def changed_options(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a plain config that differ from the defaults in their dataclasses."""
    store, defaults = ConfigStore.instance(), OmegaConf.structured(RunConfig)
    OmegaConf.set_struct(defaults, False)
    for group in ("model", "task", "scoring", *FAIRSEQ_GROUPS):
        defaults[group] = store.load(f"{group}/{cfg[group]['_name']}.yaml").node
    return _difference(cfg, OmegaConf.to_container(defaults, enum_to_str=True))


def _difference(values: dict[str, Any], defaults: Any) -> dict[str, Any]:
    """Return the values without those that are the default or follow another option, and without empty groups."""
    changed = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            value, default = _difference(value, default), {}
        if value != default and not str(default).startswith("${"):
            changed[key] = value
    return changed


def fairseq_config(cfg: DictConfig) -> DictConfig:
    """Return fairseq's part of the composed config, resolved, as its mains take it."""
    fields = FairseqConfig.__dataclass_fields__
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    with omegaconf_no_object_check():
        result = OmegaConf.create({key: value for key, value in plain.items() if key in fields})
    OmegaConf.set_struct(result, True)
    return result


def _modality(manifest: object) -> str:
    """Return what a user's manifest lists; its rows are checked later."""
    return read_manifest(Path(str(manifest)), own=True, skipped=[])[0]
