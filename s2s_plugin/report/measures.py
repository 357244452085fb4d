"""What the losses and metrics of a training are called, and in which unit: the one place that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# fairseq divides by log 2 what it prints and logs; the gradient is that of the natural logarithm.
UNIT = "bits per target token"
TITLES = {"bleu": "BLEU", "ppl": "Perplexity", "accuracy": "Accuracy", "loss": "Loss"}
TITLES |= {"wer": "WER", "cer": "CER", "per": "PER", "g2p_wer": "WER"}
TITLES |= {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougel": "ROUGE-L"}
DESCRIPTIONS = {  # of what the log has, by the name there
    "loss": "what is minimized; the criterion says what it consists of",
    "nll_loss": f"cross entropy without label smoothing, {UNIT}",
    "ppl": "perplexity of a target token: 2 to the power of nll_loss",
    "ctc_loss": "CTC loss, nats per target token",
}
WEIGHTS = ("ctc_weight", "doubly_stochastic", "coverage_weight", "alignment_weight", "rdrop", "ewc")  # of further terms


def describe_loss(criterion: Mapping[str, Any]) -> str:
    """Return what ``loss`` is with a criterion's config: smoothed or not, with which further terms, in which unit."""
    smoothing = criterion.get("label_smoothing") or 0
    text = f"cross entropy with label smoothing of {smoothing:g}" if smoothing else "cross entropy without smoothing"
    if terms := [f"{name}={criterion[name]:g}" for name in WEIGHTS if criterion.get(name)]:
        text += f" and terms weighted by {', '.join(terms)}"
    return f"{text}, {'bits per sentence' if criterion.get('sentence_avg') else UNIT}"


def named_value(name: str, value: float) -> str:
    """Return the loss or a metric of a validation in few words."""
    return f"loss {value:.2f} bits" if name == "loss" else f"{TITLES.get(name, name)} {value:.2f}"
