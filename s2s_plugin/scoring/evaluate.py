"""Score a list of hypotheses by any of the registered metrics."""

from collections.abc import Sequence

from fairseq.registry import REGISTRIES
from fairseq.scoring import SCORER_REGISTRY, build_scorer
from omegaconf import DictConfig

from s2s_plugin.errors import UserError
from s2s_plugin.scoring import bootstrap
from s2s_plugin.scoring.base import Scorer


def check_metrics(names: Sequence[str], options: DictConfig | None = None) -> None:
    """Build each metric once; raise UserError if one is unknown, or lacks a package that it requires."""
    known = sorted(name for name, scorer in SCORER_REGISTRY.items() if issubclass(scorer, Scorer))
    for name in names:
        if name not in known:
            raise UserError(f"metrics must be among {', '.join(known)}, got {name}")
        build_filled_scorer(name, [], [], options)


def evaluate(
    names: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str | list[str]],
    options: DictConfig | None = None,
    intervals: bool = False,
) -> dict[str, dict]:
    """Return the corpus score, signature and direction of each metric, by the metric's usual name.

    ``names`` are registered scorers, such as ``s2s_bleu``, with ``options`` as in :func:`build_filled_scorer`;
    ``intervals`` adds 95 % confidence intervals from bootstrap resampling.
    """
    result = {}
    for name in names:
        scorer = build_filled_scorer(name, hypotheses, references, options)
        value, signature = scorer.evaluate()
        entry = {"score": round(value, 2), "signature": signature, "higher_is_better": scorer.higher_is_better}
        if intervals and not scorer.duplicates_bias:
            low, high = bootstrap.interval(bootstrap.resampled_scores(scorer))
            entry |= {"interval": [round(low, 2), round(high, 2)], "bootstrap": bootstrap.SIGNATURE}
        result[scorer.label] = entry
    return result


def build_filled_scorer(
    name: str, hypotheses: Sequence[str], references: Sequence[str | list[str]], options: DictConfig | None = None
) -> Scorer:
    """Build a registered scorer and add these items.

    ``options`` is fairseq's ``scoring`` group: options of one scorer, which all scorers of the same dataclass share.
    """
    dataclasses = REGISTRIES["scoring"]["dataclass_registry"]
    if options is None or dataclasses[name] is not dataclasses[options._name]:
        options = DictConfig({})
    scorer = build_scorer(DictConfig({**options, "_name": name}), None)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        scorer.add_string(reference, hypothesis)
    return scorer
