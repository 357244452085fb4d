"""Register ``--arch s2s_<name>`` for every ``conf/model/<name>.yaml``: one table for both of fairseq's front ends."""

from functools import partial

import yaml
from fairseq.models import register_model_architecture

import s2s_plugin.models.seq2seq  # noqa: F401  (registers "s2s", of which the presets are architectures)
from s2s_plugin.utils.paths import CONF

PRESETS = CONF / "model"


def set_defaults(options: dict, args) -> None:
    """Set those options of fairseq's command line that are not on it."""
    for key, value in options.items():
        setattr(args, key, getattr(args, key, value))


for path in sorted(PRESETS.glob("*.yaml")):
    options = yaml.safe_load(path.read_text(encoding="utf-8"))
    del options["defaults"]
    register_model_architecture("s2s", f"s2s_{path.stem}")(partial(set_defaults, options))
