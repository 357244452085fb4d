"""``s2s --help`` and ``s2s STAGE --help``: what each stage does, its options with defaults, examples."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import Field

from omegaconf import DictConfig, OmegaConf

from s2s_plugin.cli.commands import COMMANDS
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.utils.console import WIDTH

COLUMN_OF_SUMMARIES, COLUMN_OF_OPTIONS = 32, 40
FAIRSEQ_HELP = {
    "generation.nbest": "number of hypotheses to print, with their scores; at most generation.beam",
    "generation.print_alignment": "hard: print with each output token its probability and the source tokens that it "
    "attends to most",
    "generation.max_len_a": "maximum output length: max_len_a * source length + max_len_b",
    "generation.max_len_b": "maximum output length: max_len_a * source length + max_len_b",
    "generation.lenpen": "exponent of the length by which scores are divided; a larger one favors longer outputs",
    "generation.no_repeat_ngram_size": "size of n-grams that an output must not repeat; 0: any may",
    "generation.sampling_topp": "sample from the likeliest tokens with this probability mass; -1: from all",
    "generation.temperature": "divides the logits; below 1 sharpens the distribution",
}

OUTLINE = """\
usage: s2s STAGE [ARGUMENTS] [key=value ...]

{stages}

examples
  s2s run app=nmt                            translation: default data and model
  s2s run experiment=multi30k                a recipe of conf/experiment/
  s2s run app=nmt name=mine data.pairs=my.csv
  s2s run -m app=nmt model.dropout=0.1,0.3   two runs
  s2s translate app=nmt                      decode with the trained model

more help
  s2s STAGE --help                           options of a stage, with defaults
  s2s run app=nmt --cfg job                  the composed config
  s2s --version

Everything under conf/ can be set: groups as data=multi30k hardware=gpu
model=tiny, values as model.dropout=0.2 optimization.max_update=3000.

Shell completion of stages, groups and options, for your shell's startup file:
  eval "$(s2s -sc install=bash)"             bash; install=zsh for zsh
  s2s -sc install=fish | source              fish
"""


def outline() -> str:
    """Return the text of ``s2s --help``."""
    lines = [
        line
        for name, command in COMMANDS.items()
        for line in _aligned(f"  {name} {command.arguments}", command.summary, COLUMN_OF_SUMMARIES)
    ]
    return OUTLINE.format(stages="\n".join(lines))


def stage_help(name: str, cfg: DictConfig | None) -> str:
    """Return the text of ``s2s STAGE --help``, with the values of ``cfg`` as defaults."""
    command = COMMANDS[name]
    parts = [f"usage: s2s {name} {command.arguments}" + (" [key=value ...]" if command.options else "")]
    parts.append(textwrap.fill(command.details, WIDTH))
    if cfg is not None:
        lines = [line for key in command.options for line in _option_lines(cfg, key)]
        parts.append("\n".join([f"options, with the defaults of app={cfg.app}", *lines]))
    parts.append("\n".join(["examples", *(f"  {example}" for example in command.examples)]))
    return "\n\n".join(parts) + "\n"


def _option_lines(cfg: DictConfig, key: str) -> Iterator[str]:
    """Explain one option, or all of a group except those that follow another option or have no help."""
    group, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, group) if group else cfg
    if isinstance(node._get_node(name), DictConfig):
        if key in MODALITIES and cfg.data.source_lang != key:
            return
        group, node = key, node[name]
        names = [name for name in map(str, node) if not OmegaConf.is_interpolation(node, name)]
    else:
        names = [name]
    options: dict[str, Field] = getattr(OmegaConf.get_type(node), "__dataclass_fields__", {})
    for name in names:
        key = f"{group}.{name}" if group else name
        explanation = FAIRSEQ_HELP.get(key) or (options[name].metadata.get("help") if name in options else None)
        if explanation is None:
            continue
        shown = "???" if OmegaConf.is_missing(node, name) else _text(node[name])
        left = f"  {key}={shown}"
        yield from _aligned(left, explanation.split("%(default)")[0].replace("%%", "%"), COLUMN_OF_OPTIONS)


def _text(value: object) -> str:
    if value is None:
        return "null"
    if OmegaConf.is_config(value):
        return str(value).replace(" ", "").replace("'", "")
    value = getattr(value, "value", value)  # of an enum
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if " " in str(value) else str(value)


def _aligned(left: str, explanation: str, column: int) -> Iterator[str]:
    """Begin the explanation at a column, on a line of its own if ``left`` reaches into it; wrap it."""
    if len(left) > column - 2:
        yield left
        left = ""
    for line in textwrap.wrap(explanation, WIDTH - column) or [""]:
        yield f"{left:{column}}{line}".rstrip()
        left = ""
