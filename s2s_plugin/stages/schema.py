"""The typed schema of ``conf/`` and the way from it to fairseq's own config."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.utils import omegaconf_no_object_check
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from s2s_plugin.datasets.frontends.audio import AudioConfig
from s2s_plugin.datasets.frontends.image import ImageConfig
from s2s_plugin.datasets.frontends.video import VideoConfig
from s2s_plugin.datasets.manifest import read_manifest
from s2s_plugin.scoring.validation import HIGHER_IS_BETTER
from s2s_plugin.text.vocabulary import SubwordConfig
from s2s_plugin.utils.paths import CONF

FAIRSEQ_GROUPS = ("criterion", "optimizer", "lr_scheduler")


@dataclass
class DataConfig:
    """Where the pairs come from: a recipe of ``data/``, or the user's own files.

    ``source_lang`` is a language, or audio, video or image; a list of languages or of files stands for several
    directions in one model (see ``s2s_plugin/corpora/directions.py``).
    """

    name: str = MISSING  # of the corpus, part of the prepared folder's name
    source_lang: Any = MISSING
    target_lang: Any = MISSING
    history: int = 1  # of conversations: turns of a source, at most, the one that is answered among them
    recipe: Optional[str] = None  # folder below data/ whose prepare.py makes the corpus
    options: dict[str, Any] = field(default_factory=dict)  # further arguments of that recipe
    from_dir: Optional[str] = None  # the recipe's raw files, if already at hand
    source: Any = None  # own files: training sentences, one per line
    target: Any = None
    valid_source: Any = None  # own held-out files; taken from the training files where not given
    valid_target: Any = None
    test_source: Any = None
    test_target: Any = None
    extra_source: Any = None  # further pairs for training alone, such as back-translations
    extra_target: Any = None
    dialogues: Optional[str] = None  # own conversations: a turn a line, an empty line between two conversations
    valid_dialogues: Optional[str] = None
    test_dialogues: Optional[str] = None
    manifest: Optional[str] = None  # own recordings, videos or pictures: a TSV (see s2s_plugin/datasets/manifest.py)
    valid_manifest: Optional[str] = None
    test_manifest: Optional[str] = None
    retrieval: bool = False  # each source brings the target of the most similar source in training
    shared_targets: bool = False  # the same target may be in training and held out, as replies are; sources never
    held_out: int = 1000  # pairs in each held-out set that is taken from the training files, at most a tenth
    max_symbols: int = 1000  # longest side in subwords; longer training pairs are dropped, longer others refused
    several_references: bool = False  # held-out pairs of the same source are one item with several references
    on_bad_item: str = "error"  # or skip: leave out unusable lines and media, and say so


@dataclass
class ChatConfig:
    """``s2s chat``."""

    candidates: int = 10  # of the search, of which the reply is chosen
    generic_penalty: float = 0.1  # on what is said often in training: times the log of how often
    threshold: Optional[float] = None  # confidence below which the fallback is said; None: chosen in validation
    fallback: str = "Sorry, I do not know what to say to that."


@dataclass
class PipelineConfig(FairseqConfig):
    """fairseq's config and what surrounds a fairseq run."""

    app: str = MISSING
    name: str = "default"
    run_dir: str = MISSING
    prepared_dir: str = "data-bin"
    verbose: bool = False
    checkpoint_metric: str = "loss"
    average: int = 0
    finetune_from: Optional[str] = None
    workers: int = 0
    metrics: list[str] = field(default_factory=list)  # scorers registered with fairseq, for the score stage
    perplexity: bool = False  # beside the metrics
    baselines: list[str] = field(default_factory=list)  # of s2s_plugin/stages/baselines.py, beside the scores
    output_parser: str = "none"  # bash or python: prefer the first hypothesis of the beam that this parser accepts
    examples: int = 5
    translate_to: Optional[str] = None  # the language to translate into by hand, where a model knows several
    data: DataConfig = field(default_factory=DataConfig)
    subword: SubwordConfig = field(default_factory=SubwordConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    chat: ChatConfig = field(default_factory=ChatConfig)


def register() -> None:
    """What ``conf/`` refers to: the schema and two functions. The plugin's import has registered fairseq's parts."""
    store = ConfigStore.instance()
    store.store(name="s2s_schema", node=PipelineConfig, provider="s2s")
    for group in FAIRSEQ_GROUPS:
        for path in (CONF / group).glob("*.yaml"):  # which changes defaults of a part of the same name
            node = store.load(f"{group}/{path.name}").node
            store.store(f"fairseq_{path.stem}", node, group, provider="s2s")
    OmegaConf.register_new_resolver("validation_metric", lambda name: "none" if name == "loss" else name, replace=True)
    OmegaConf.register_new_resolver("higher_is_better", lambda name: name in HIGHER_IS_BETTER, replace=True)
    OmegaConf.register_new_resolver("count", len, replace=True)
    OmegaConf.register_new_resolver("none_if_zero", lambda count: count or -1, replace=True)  # fairseq's word for none
    OmegaConf.register_new_resolver("gpu_count", torch.cuda.device_count, replace=True)
    OmegaConf.register_new_resolver("modality", lambda name: read_manifest(Path(str(name)))[0], replace=True)
    OmegaConf.register_new_resolver("suffix", _suffix, replace=True)


def _suffix(files: Any) -> str:
    """The ending of a file's name; of several, each once: ``de+ko``."""
    names = files if isinstance(files, ListConfig) else [files]
    return "+".join(dict.fromkeys(Path(str(name)).suffix.lstrip(".") for name in names))


def choices(group: str) -> tuple[str, ...]:
    """What ``group=`` may be set to: our files, and the parts of fairseq that Hydra can configure."""
    ours = {path.stem for path in (CONF / group).glob("*.yaml")}
    theirs = {Path(name).stem for name in ConfigStore.instance().repo.get(group, {})}
    return tuple(sorted(ours | {name for name in theirs if not name.startswith("fairseq_")}))


def fairseq_config(cfg: DictConfig) -> DictConfig:
    """fairseq's part of the composed config, resolved, as its mains take it."""
    fields = FairseqConfig.__dataclass_fields__
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    with omegaconf_no_object_check():
        result = OmegaConf.create({key: value for key, value in plain.items() if key in fields})
    OmegaConf.set_struct(result, True)
    return result
