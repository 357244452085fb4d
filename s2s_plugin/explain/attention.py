"""``s2s attention``: what each output token attends to, in the terminal and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.explain.attribution import attribute
from s2s_plugin.explain.cases import Case, media_cases, numbered, text_cases
from s2s_plugin.explain.heat_map import heat_map, legend
from s2s_plugin.inference.attention import signal_steps
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.report.run import Attention
from s2s_plugin.utils.columns import wrap
from s2s_plugin.utils.console import WIDTH
from s2s_plugin.utils.io import write_bytes

LABEL = 14  # columns of "  hypothesis  "


def show_attention(cfg: DictConfig, run: RunDir, inputs: Sequence[str]) -> None:
    """Print a map of the attention for each sentence or media file; write pictures with ``explain.png``.

    Raises:
        UserError: the model has no attention; at the end, if some inputs were unusable.
    """
    translator = load_asked(cfg, run)
    if not translator.attends:
        raise UserError(
            f"{run.folder} has model.attention=none: there are no weights to show; s2s explain shows what else its "
            f"outputs owe to their source"
        )
    is_text = translator.task.modality == "text"
    if not cfg.explain.json:
        print(legend(relative=not is_text))
    with report_failures("inputs") as fail:
        cases = text_cases(translator, cfg, run, inputs, fail) if is_text else media_cases(translator, inputs, fail)
        for number, case in enumerate(cases, start=1):
            item = attention_item(translator, case, number)
            if cfg.explain.json:
                print(json.dumps(case_values(case, item), ensure_ascii=False))
            else:
                print("", *case_lines(case), "", *heat_map(item), sep="\n")
            if cfg.explain.png is not None:
                write_picture(item, numbered(Path(cfg.explain.png), number))


def load_asked(cfg: DictConfig, run: RunDir) -> Translator:
    """Return the translator of a run; raise UserError if the search has options that do not fit a given output."""
    if cfg.generation.constraints is not None:
        raise UserError("generation.constraints is not for s2s attention and s2s explain: a tab begins the output here")
    return load_translator(cfg, run)


def attention_item(translator: Translator, case: Case, number: int) -> Attention:
    """Return the attention of a case, as the report draws it."""
    weights = attribute(translator, case.source, case.target).attention
    assert weights is not None
    tokens = [translator.task.target_dictionary[token] for token in case.target.tolist()]
    if translator.task.modality == "text":
        return Attention(number, tokens, weights.numpy(), translator.source_tokens(case.source), caption=case.text)
    signal = translator.task.frontend.to_image(case.source)
    steps = signal_steps(translator, case.source)
    return Attention(number, tokens, weights.numpy(), signal=signal, caption=case.text, **steps)


def case_lines(case: Case) -> list[str]:
    """Return the source and the output in lines of a terminal."""
    name = "given" if case.given else "hypothesis"
    rows = {"source": case.text, name: case.output}
    return [line for row, text in rows.items() for line in wrap_row(row, text)]


def wrap_row(name: str, text: str) -> list[str]:
    """Return a text after its name, wrapped."""
    return [f"  {name:{LABEL - 2}}{line}" if not number else f"{' ' * LABEL}{line}"
            for number, line in enumerate(wrap(text, WIDTH - LABEL))]  # fmt: skip


def case_values(case: Case, item: Attention) -> dict[str, object]:
    """Return a case as plain values."""
    values = {"source": case.text, "output": case.output, "given": case.given}
    values |= {"source_tokens": list(item.source_tokens)} if item.modality == "text" else {"modality": item.modality}
    return values | {"target_tokens": list(item.target_tokens), "attention": rounded(item.attention)}


def rounded(matrix: object) -> list:
    """Return numbers as plain lists, with four digits."""
    return [[round(float(value), 4) for value in row] for row in matrix]  # type: ignore[attr-defined]


def write_picture(item: Attention, path: Path) -> None:
    """Draw the attention as the report does."""
    from s2s_plugin.report.drawing.attention import draw  # imports matplotlib
    from s2s_plugin.report.drawing.style import to_png

    write_bytes(path, to_png(draw(item)))
