"""Every file in conf/ composes, says only what has an effect, and builds."""

from __future__ import annotations

import functools
from argparse import Namespace
from pathlib import Path

import pytest
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY
from fairseq.optim import build_optimizer
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.datasets.frontends import build_frontend
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.stages import schema as config

APPS = {path.stem for path in config.CONF.glob("app/*.yaml")}
FILES = sorted(path.relative_to(config.CONF).with_suffix("") for path in config.CONF.glob("*/*.yaml"))


config.register()


def composed(*overrides: str) -> DictConfig:
    app = [] if any(word.startswith(("app=", "experiment=")) for word in overrides) else ["app=nmt"]
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        return compose("s2s", overrides=[*app, *overrides])


def test_changed_options_are_those_that_no_dataclass_has_as_default():
    cfg = config.fairseq_config(composed("model.dropout=0.25", "run_dir=runs/x", "task.data=data-bin/x"))
    changed = config.changed_options({**OmegaConf.to_container(cfg), "scoring": {"_name": "s2s_bleu"}})
    assert changed["model"] == {"decoder_type": "gnmt", "dropout": 0.25, "share_all_embeddings": True}
    assert changed["optimization"] == {"max_update": 1600, "clip_norm": 1.0, "lr": [0.005]}
    assert "scoring" not in changed and "eval_lm" not in changed


@pytest.fixture
def needed(file: Path, tmp_path: Path) -> list[str]:
    """The overrides without which a file of ``conf/`` does not compose."""
    if file.name == "manifest":
        (tmp_path / "my.tsv").write_text("id\taudio\ttgt_text\na\ta.wav\tone\n")
        return [f"data.manifest={tmp_path}/my.tsv"]
    return ["data.source=x.en", "data.target=x.de"] if file.name == "files" else []


@functools.cache
def with_file(file: Path, *needed: str) -> DictConfig:
    return composed(f"{file.parent}={file.name}", *needed, "run_dir=runs/x", "task.data=data-bin/x")


@pytest.mark.parametrize("file", FILES, ids=str)
def test_composes_and_builds(file: Path, needed: list[str]):
    cfg = with_file(file, *needed)
    fairseq = config.fairseq_config(cfg)
    dictionary = Dictionary()
    for letter in "abcdef":
        dictionary.add_symbol(letter)
    modality = fairseq.task.source_lang
    task = Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    if modality in MODALITIES:
        shape = build_frontend(modality, cfg[modality]).shape
        task = Namespace(source_dictionary=None, target_dictionary=dictionary, modality=modality, source_shape=shape)
        fairseq.model.share_all_embeddings = False
    model = Seq2SeqModel.build_model(fairseq.model, task)
    assert build_optimizer(fairseq.optimizer, list(model.parameters())) is not None


def leaves(node: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_value_has_an_effect(file: Path, needed: list[str]):
    """What a file says is what the composed config holds: nothing later in the defaults list overwrites it."""
    path = config.CONF / file.with_suffix(".yaml")
    text = path.read_text()
    said = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    said.pop("defaults", None)
    package = (
        "" if "@package _global_" in text else "generation." if "@package generation" in text else f"{file.parent}."
    )
    cfg = with_file(file, *needed)
    for key, value in leaves(said, package).items():
        if not (isinstance(value, str) and "${" in value):
            assert OmegaConf.select(cfg, key) == value, f"{file}: {key}"


@pytest.mark.parametrize("path", sorted(config.CONF.glob("experiment/*.yaml")), ids=lambda path: path.stem)
def test_experiments_open_with_their_command(path: Path):
    package, command = path.read_text().splitlines()[:2]  # Hydra reads a package from the first line alone
    assert package == "# @package _global_"
    assert command.removeprefix("# s2s run ").split()[0] == f"experiment={path.stem}"
    assert composed(*command.removeprefix("# s2s run ").split()).app in APPS


def test_architectures_and_models_are_one_table():
    """``--arch s2s_<name>`` fills in exactly what ``model=<name>`` composes."""
    for file in FILES:
        group, choice = file.parts
        if group == "model":
            arguments = Namespace()
            ARCH_CONFIG_REGISTRY[f"s2s_{choice}"](arguments)
            said = {key: value for key, value in composed(f"model={choice}").model.items() if key in vars(arguments)}
            assert said == vars(arguments)


@pytest.mark.parametrize("part", ["optimizer=nag", "criterion=cross_entropy", "lr_scheduler=tri_stage"])
def test_parts_of_fairseq_that_we_set_nothing_of_can_be_chosen(part: str):
    group, name = part.split("=")
    assert composed(part)[group]._name == name
    assert name in config.choices(group)


@pytest.mark.parametrize("criterion", ["label_smoothed_cross_entropy", "s2s_cross_entropy"])
def test_labels_are_smoothed(criterion: str):
    assert composed(f"criterion={criterion}").criterion.label_smoothing == 0.1
