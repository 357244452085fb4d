"""What this package registers with fairseq: own names, own classes, presets alike on both paths."""

from __future__ import annotations

import functools

import pytest
from fairseq import options
from fairseq.dataclass.initialize import hydra_init
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from fairseq.scoring import SCORER_REGISTRY
from fairseq.tasks import TASK_REGISTRY
from hydra import compose, initialize_config_dir, version
from omegaconf import OmegaConf

import s2s_plugin
from s2s_plugin.models.presets import PRESETS as FOLDER
from s2s_plugin.models.seq2seq import Seq2SeqConfig

PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
HYDRA_WARNS = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize(
    "registry",
    [MODEL_REGISTRY, ARCH_MODEL_REGISTRY, TASK_REGISTRY, SCORER_REGISTRY, MODEL_DATACLASS_REGISTRY],
    ids=["models", "archs", "tasks", "scorers", "dataclasses"],
)
def test_our_names_begin_with_s2s_and_are_ours(registry):
    """fairseq silently keeps the older of two things with one name: ours must not be somebody's already."""
    assert s2s_plugin.__version__
    ours = {name for name, thing in registry.items() if thing.__module__.split(".")[0] == "s2s_plugin"}
    assert ours
    assert all(name == "s2s" or name.startswith("s2s_") for name in ours)
    assert ours == {name for name in registry if name == "s2s" or name.startswith("s2s_")}


def test_every_preset_is_an_arch():
    assert {"base", "tiny"} <= set(PRESETS)
    archs = {name for name in ARCH_MODEL_REGISTRY if name == "s2s" or name.startswith("s2s_")}
    assert archs == {f"s2s_{name}" for name in PRESETS} | {"s2s"}


@functools.cache
def by_arch(arch: str, *extra: str) -> dict:
    version.setbase("1.1")  # fairseq's command line speaks to Hydra's old interface
    parser = options.get_training_parser()
    command = ["unused", "--task", "s2s", "--arch", arch, *extra]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, command))
    return sizes(cfg.model)


@functools.cache
def by_hydra(preset: str, *extra: str) -> dict:
    from s2s_plugin.stages import schema as config

    config.register()
    for resolver in ("gpu_count", "suffix"):
        OmegaConf.register_new_resolver(resolver, lambda *_: 0, replace=True)
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose("s2s", ["app=nmt", f"model={preset}", *extra])
    return sizes(cfg.model)


def sizes(model) -> dict:
    return {name: model[name] for name in Seq2SeqConfig.__dataclass_fields__ if name != "_name"}


@pytest.fixture(autouse=True)
def hydra_as_found():
    hydra_init()  # fairseq's config groups
    before = version.VersionBase.instance().getbase()
    yield
    version.VersionBase.instance().version_base = before


@HYDRA_WARNS
@pytest.mark.parametrize("preset", PRESETS)
def test_arch_and_hydra_preset_are_equal(preset):
    assert by_arch(f"s2s_{preset}") == by_hydra(preset)


@HYDRA_WARNS
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_changes_what_its_file_says(preset):
    stated = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{preset}.yaml"))
    stated.pop("defaults")
    assert stated
    assert by_arch(f"s2s_{preset}") == by_arch("s2s") | stated


@HYDRA_WARNS
def test_the_command_line_wins_over_the_preset():
    words = ["--encoder-embed-dim", "48", "--dropout", "0.25"]
    chosen = by_arch("s2s_tiny", *words)
    assert (chosen["encoder_embed_dim"], chosen["dropout"], chosen["decoder_embed_dim"]) == (48, 0.25, 32)
    assert chosen == by_hydra("tiny", "model.encoder_embed_dim=48", "model.dropout=0.25")
