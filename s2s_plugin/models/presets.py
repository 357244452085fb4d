"""Register ``--arch s2s_<name>`` for every ``conf/model/<name>.yaml``: one table for both of fairseq's front ends."""

import yaml
from fairseq.models import register_model_architecture

import s2s_plugin.models.seq2seq  # noqa: F401  (registers "s2s", of which the presets are architectures)
from s2s_plugin.utils.paths import CONF

PRESETS = CONF / "model"


def load_presets() -> dict[str, dict]:
    """Return each preset's options that differ from the defaults of ``Seq2SeqConfig``, by preset name."""
    presets = {}
    for path in sorted(PRESETS.glob("*.yaml")):
        options = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        options.pop("defaults", None)
        presets[path.stem] = options
    return presets


def _register(name: str, options: dict) -> None:
    @register_model_architecture("s2s", f"s2s_{name}")
    def architecture(args) -> None:
        for key, value in options.items():
            setattr(args, key, getattr(args, key, value))


for _name, _options in load_presets().items():
    if _name != "s2s":  # the model itself with its own defaults
        _register(_name, _options)
