"""``s2s explain``: why an output is what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from s2s_plugin.errors import UserError, visible
from s2s_plugin.explain.attention import case_lines, load_asked, rounded
from s2s_plugin.explain.attribution import attribute, gradient_times_input, leave_one_out
from s2s_plugin.explain.cases import Case, text_cases
from s2s_plugin.explain.neighbors import Neighbor, TrainingPairs
from s2s_plugin.explain.rivals import Rival, find_rivals
from s2s_plugin.inference.datastore import Neighbor as State
from s2s_plugin.inference.datastore import nearest
from s2s_plugin.inference.failures import report_failures
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.tokens import MAX_NEIGHBORS, neighbor_lines
from s2s_plugin.inference.translator import Hypothesis, Translator
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.utils.columns import pad, wrap
from s2s_plugin.utils.console import WIDTH

TOKEN, SOURCE = 14, 10  # columns of tokens
MAX_ROWS = 40  # of the table of source tokens
LEGEND = (
    "prob.      probability of the output token after those before it",
    "attention  weight on the source token",
    "gradient   gradient x input: d log P / d embedding * embedding",
    "left out   by how much log P falls without the source token, in nats",
    "Each shows the source token where it is largest, whatever its sign.",
)
METHODS = {"attention": "attention", "gradient": "gradient_x_input", "left out": "leave_one_out"}  # and keys of JSON


@dataclass(frozen=True)
class Explanation:
    """What is known about an output of T tokens, of a source of S memory steps.

    Args:
        case: source and output.
        source_tokens: those of each memory step, with </s>.
        target_tokens: with </s>.
        score: as the search computes it, natural logarithm.
        log_probs: T, of the output tokens, natural logarithm.
        weights: T x S by the name of the method in ``METHODS``; a method that does not apply is missing.
        rivals: of the beam.
        neighbors: training pairs; None if the training text is gone.
        states: for each output token the nearest ones of ``task.knn``, if it is set.
    """

    case: Case
    source_tokens: Sequence[str]
    target_tokens: Sequence[str]
    score: float
    log_probs: Tensor
    weights: dict[str, np.ndarray]
    rivals: Sequence[Rival]
    neighbors: Sequence[Neighbor] | None
    states: Sequence[Sequence[State]] | None

    @cached_property
    def totals(self) -> dict[str, np.ndarray]:
        """Return the sums over the output tokens, S for each method."""
        return {name: weights.sum(axis=0) for name, weights in self.weights.items()}

    def values(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        case = self.case
        values: dict[str, Any] = {"source": case.text, "output": case.output, "given": case.given, "score": self.score}
        values |= {"source_tokens": list(self.source_tokens), "target_tokens": list(self.target_tokens)}
        values["log_probs"] = [round(value, 4) for value in self.log_probs.tolist()]
        for name, key in METHODS.items():
            matrix = self.weights.get(name)
            values[key] = None if matrix is None else [
                [None if value != value else value for value in row] for row in rounded(matrix)
            ]  # fmt: skip
        values["rivals"] = [rival._asdict() for rival in self.rivals]
        values["neighbors"] = None if self.neighbors is None else [each._asdict() for each in self.neighbors]
        if self.states is not None:
            values["nearest_states"] = [[asdict(state) for state in states] for states in self.states]
        return values


def explain(cfg: DictConfig, run: RunDir, inputs: Sequence[str]) -> None:
    """Print an explanation of the output for each sentence.

    Raises:
        UserError: the model does not read text; at the end, if some inputs were unusable.
    """
    translator = load_asked(cfg, run)
    if translator.task.modality != "text":
        raise UserError(
            f"s2s explain requires a text model, and {run.folder} reads {translator.task.modality}; s2s attention FILE "
            f"... app={cfg.app} shows where it looks"
        )
    training = TrainingPairs(run, cfg.task) if cfg.explain.neighbors else None
    if not cfg.explain.json:
        print(*LEGEND, sep="\n")
    with report_failures("inputs") as fail:
        for case in text_cases(translator, cfg, run, inputs, fail):
            explanation = explain_case(translator, case, cfg, training)
            if cfg.explain.json:
                print(json.dumps(explanation.values(), ensure_ascii=False))
            else:
                print(*explanation_lines(explanation, cfg), sep="\n")


def explain_case(
    translator: Translator, case: Case, cfg: DictConfig, training: TrainingPairs | None = None
) -> Explanation:
    """Explain one output; ``training`` pairs are looked up if there are any."""
    led = attribute(translator, case.source, case.target)
    methods = {
        "attention": led.attention,
        "gradient": gradient_times_input(translator, case.source, case.target),
        "left out": leave_one_out(translator, case.source, case.target),
    }
    score = case.beam[0].score
    if case.given:
        options = BeamOptions.from_config(cfg.generation, translator.task.cfg)
        score = options.score(led.log_probs.sum().item(), len(case.target))
    tokens = [translator.task.target_dictionary[token] for token in case.target.tolist()]
    return Explanation(
        case=case,
        source_tokens=translator.source_tokens(case.source),
        target_tokens=tokens,
        score=round(score, 4),
        log_probs=led.log_probs,
        weights={name: matrix.numpy() for name, matrix in methods.items() if matrix is not None},
        rivals=find_rivals(tokens, led.log_probs.exp().tolist(), case.beam)[: cfg.explain.rivals],
        neighbors=None if training is None else training.nearest(case.text, cfg.explain.neighbors),
        states=None
        if cfg.task.knn is None
        else nearest(translator, case.source, Hypothesis(target_tokens=tokens), MAX_NEIGHBORS),
    )


def explanation_lines(explanation: Explanation, cfg: DictConfig) -> Iterator[str]:
    """Yield the lines of an explanation, of at most 80 columns."""
    yield from ("", *case_lines(explanation.case))
    yield f"  score       {explanation.score:.2f} (log P in nats, normalized by length as in the search)"
    yield ""
    if "attention" not in explanation.weights:
        yield "  model.attention=none: there are no attention weights"
    yield from _token_table(explanation)
    yield ""
    yield from _source_table(explanation)
    if explanation.rivals or not explanation.case.given:
        yield from ("", f"  rivals in a beam of {cfg.generation.beam}")
        if not explanation.rivals:
            yield "    none: the beam has one hypothesis; generation.beam=5 has more"
    for rival in explanation.rivals:
        yield from _row(f"{rival.score:.2f}", rival.output)
        yield from _row("", rival.where())
    if cfg.explain.neighbors:
        yield from ("", "  most similar training sources, with their targets")
        if explanation.neighbors is None:
            yield "    not known: the training text is gone; s2s prepare makes it again"
    for each in explanation.neighbors or ():
        yield from _row(f"{each.similarity:.2f}", f"{each.source} (line {each.line:,})")
        yield from _row("", each.target)
    if explanation.states is not None:
        yield from ("", *neighbor_lines(explanation.target_tokens, explanation.states))


def _token_table(explanation: Explanation) -> Iterator[str]:
    """Yield a line for each output token, with the source token of the largest absolute value by each method."""
    methods = explanation.weights
    yield f"  {'output token':{TOKEN}} prob." + "".join(f"  {name:{SOURCE + 7}}" for name in methods).rstrip()
    for row, (token, log_prob) in enumerate(zip(explanation.target_tokens, explanation.log_probs, strict=True)):
        line = f"  {pad(visible(token), TOKEN)} {log_prob.exp():5.2f}"
        for name, weights in methods.items():
            best = int(np.nanargmax(np.abs(weights[row])))
            label = pad(visible(explanation.source_tokens[best]), SOURCE)
            line += f"  {label} {_number(name, weights[row, best])}"
        yield line.rstrip()


def _source_table(explanation: Explanation) -> Iterator[str]:
    """Yield a line for each source token, with the sums over the output; of many, those that matter most."""
    totals, tokens = explanation.totals, explanation.source_tokens
    matter = np.nan_to_num(np.abs(totals["left out"]))
    shown = sorted(np.argsort(-matter, kind="stable")[:MAX_ROWS].tolist())
    some = f", the {MAX_ROWS} of {len(tokens)} that matter most" if len(shown) < len(tokens) else ""
    yield f"  sums over the output{some}"
    yield f"  {'source token':{TOKEN}}" + "".join(f" {name:>10}" for name in totals)
    for place in shown:
        numbers = "".join(f" {_number(name, values[place]):>10}" for name, values in totals.items())
        yield f"  {pad(visible(tokens[place]), TOKEN)}{numbers}"


def _number(method: str, value: float) -> str:
    """Format a weight; only attention has no sign."""
    return f"{'–':>6}" if value != value else f"{value:6.2f}" if method == "attention" else f"{value:+6.2f}"


def _row(label: str, text: str) -> Iterator[str]:
    """Yield a text after a label, wrapped."""
    for line in wrap(text, WIDTH - 12):
        yield f"    {label:>6}  {line}"
        label = ""
