"""Decoding of the validation set in the training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fairseq.data import Dictionary
from fairseq.logging import metrics
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor, nn

from s2s_plugin.scoring.validation import Metric
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.tasks.config import Seq2SeqTaskConfig

PREFIX = "_metric_"  # of the sums in the logging outputs


class ValidationMetric:
    """The metric of ``cfg.eval_metric`` over decoded batches; ``text`` decodes ids of the target's dictionary."""

    def __init__(self, cfg: Seq2SeqTaskConfig, dictionary: Dictionary, text: Callable[[Tensor], str], is_signal: bool):
        self.cfg, self.dictionary, self.text = cfg, dictionary, text
        self.metric = Metric(str(cfg.eval_metric), cfg.eval_tokenizer)
        self.length: dict[str, Any] = {"max_len_b": 200} if is_signal else {"max_len_a": 1.5, "max_len_b": 10}
        if cfg.eval_max_len is not None:
            self.length = {"max_len_a": 0.0, "max_len_b": cfg.eval_max_len}

    def build_search(self, model: nn.Module) -> Any:
        """Return our search, or fairseq's for other architectures."""
        cfg = self.cfg
        if hasattr(getattr(model, "decoder", None), "rnn"):  # ours, also within a wrapper for several devices
            options = BeamOptions(beam=cfg.eval_beam, ctc_search_weight=cfg.ctc_search_weight, **self.length)
            return BeamSearch([model], self.dictionary, options)  # type: ignore[list-item]
        return SequenceGenerator([model], self.dictionary, beam_size=cfg.eval_beam, **self.length)

    def statistics(self, hypotheses: list[list[dict]], targets: Tensor) -> dict[str, int]:
        """Return a batch's sums for the logging output."""
        outputs = [self.text(each[0]["tokens"]) for each in hypotheses]
        pairs = list(zip(outputs, map(self.text, targets), strict=True))
        # Plain integers: with numpy's, torch's safe loader would refuse the checkpoint.
        return {f"{PREFIX}{i}": value for i, value in enumerate(self.metric.statistics(pairs))}

    def log(self, logging_outputs: list[dict]) -> None:
        """Log the metric of the batches' sums, if there are any."""
        names = [name for name in (logging_outputs[0] if logging_outputs else ()) if name.startswith(PREFIX)]
        if not names:
            return
        for name in names:
            metrics.log_scalar(name, int(sum(output.get(name, 0) for output in logging_outputs)))

        def value(meters) -> float:
            return round(self.metric.value([int(meters[name].sum) for name in names]), 2)

        metrics.log_derived(str(self.cfg.eval_metric), value)
