"""Write docs/configuration.md from the dataclasses that define the options: ``python docs/reference.py [--check]``."""

from __future__ import annotations

import sys
from dataclasses import MISSING, Field, fields
from pathlib import Path

from s2s_plugin.criterions.cross_entropy import Seq2SeqCriterionConfig
from s2s_plugin.criterions.minimum_risk import MinimumRiskConfig
from s2s_plugin.datasets.frontends.audio import AudioConfig
from s2s_plugin.datasets.frontends.image import ImageConfig
from s2s_plugin.datasets.frontends.video import VideoConfig
from s2s_plugin.models.config import Seq2SeqConfig
from s2s_plugin.stages.schema import (
    ChatConfig,
    CheckConfig,
    DataConfig,
    DiagnoseConfig,
    ExplainConfig,
    RunConfig,
    SubwordConfig,
)
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.utils.options import TRAINING

PAGE = Path(__file__).with_name("configuration.md")
INTRODUCTION = """\
# Configuration

Every option of this project, from its dataclass: `docs/reference.py` writes this page. On the command line of `s2s`
an option is `group.name=value`; fairseq's own groups (`optimization`, `dataset`, `checkpoint`, `common`,
`generation`, `optimizer`, `lr_scheduler`, `ema`, ...) have fairseq's names. With `fairseq-train`, options of `task`,
`model` and `criterion` are flags: `task.eval_metric=bleu` is `--eval-metric bleu`. `s2s run app=nmt --cfg job` prints
the composed config.

The last column says what an option affects: what is learned (training), what is decoded, only the speed, or only
what is printed. Changing an option that affects training needs a new run, but for
[a few](quickstart.md#a-runs-folder); the others can be given to a later stage, which refuses the former.
"""
GROUPS = {  # prefix: title, dataclass
    "": ("Run", RunConfig),
    "data.": ("Data", DataConfig),
    "subword.": ("Vocabulary", SubwordConfig),
    "audio.": ("Audio features", AudioConfig),
    "video.": ("Video features", VideoConfig),
    "image.": ("Picture features", ImageConfig),
    "model.": ("Model", Seq2SeqConfig),
    "task.": ("Task", Seq2SeqTaskConfig),
    "criterion.": ("Loss: `criterion=s2s_cross_entropy`", Seq2SeqCriterionConfig),
    "criterion. ": ("Loss: `criterion=s2s_minimum_risk`", MinimumRiskConfig),
    "chat.": ("Chat", ChatConfig),
    "check.": ("Check of a corpus", CheckConfig),
    "diagnose.": ("Diagnosis", DiagnoseConfig),
    "explain.": ("Attention and explanations of one sentence", ExplainConfig),
}


def default_of(option: Field) -> str:
    """Return an option's default as it is written on the command line; empty where there is none."""
    default = option.default_factory() if option.default_factory is not MISSING else option.default
    if default is MISSING or default == "???" or default is None:
        return ""
    default = getattr(default, "value", default)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return f"`[{','.join(map(str, default))}]`"
    return "" if default in ("", {}) else f"`{default}`"


def table(prefix: str, title: str, config: type) -> str:
    """Return the section of one dataclass; options that interpolate another one or are fairseq's are left out."""
    rows = [f"## {title}\n", "| option | default | | affects |", "|---|---|---|---|"]
    for option in fields(config):
        explanation = option.metadata.get("help")
        if explanation is None or str(option.default).startswith("${"):
            continue
        text = explanation.replace("|", "\\|").replace("<", "&lt;").replace("%%", "%")
        affects = ", ".join(option.metadata.get("affects", TRAINING))
        rows.append(f"| `{prefix.strip()}{option.name}` | {default_of(option)} | {text} | {affects} |")
    return "\n".join(rows)


def main() -> int:
    """Write the page, or with ``--check`` compare it; return the exit code."""
    page = "\n\n".join([INTRODUCTION.strip(), *(table(prefix, *entry) for prefix, entry in GROUPS.items())]) + "\n"
    if "--check" not in sys.argv:
        PAGE.write_text(page, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page:
        print(f"{PAGE} is out of date: run python docs/reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
