"""Decoding of the validation set in the training loop, scored by the original texts like the outputs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq import utils
from fairseq.data import Dictionary, data_utils
from fairseq.logging import metrics
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor, nn

from s2s_plugin.datasets.pair import PairDataset
from s2s_plugin.datasets.references import read_references
from s2s_plugin.errors import UserError
from s2s_plugin.scoring.tokenizers import AUTO, tokenizer_of_texts
from s2s_plugin.scoring.validation import Metric
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.text.codec import PairCodec
from s2s_plugin.text.normalize import SPACE
from s2s_plugin.utils.digests import read_prepared

PREFIX = "_metric_"  # of the sums in the logging outputs
# The unknown token of a side that is decoded from ids: fairseq's two words, which differ.
UNKNOWN_IN_REFERENCE, UNKNOWN_IN_HYPOTHESIS = "UNKNOWNTOKENINREF", "UNKNOWNTOKENINHYP"


class Reference(NamedTuple):
    """What the output of an item is scored by."""

    texts: list[str]
    source: str  # original, for the words that an output copies from it


class TargetText:
    """Decodes ids of the target: by the codec of the prepared corpus, or else to words, if subwords are marked."""

    def __init__(self, dictionary: Dictionary, codec: PairCodec | None):
        self.dictionary, self.codec = dictionary, codec
        self.marks = None
        if codec is None and any(symbol.endswith("@@") for symbol in dictionary.symbols):
            self.marks = "@@ "  # fairseq's names of what subword-nmt and SentencePiece leave
        elif codec is None and any(symbol.startswith(SPACE) for symbol in dictionary.symbols):
            self.marks = "sentencepiece"

    def __call__(self, tokens: Tensor, unknown: str | None = None) -> str:
        """Decode ids; ``unknown`` stands for the unknown token, None: what the dictionary or the codec has for it."""
        ids = utils.strip_pad(tokens, self.dictionary.pad()).int().cpu()
        pieces = self.dictionary.string(ids, unk_string=unknown)
        return self.join(pieces) if self.codec is None else self.codec.decode(pieces)

    def reference(self, tokens: Tensor) -> str:
        """Decode ids of a reference, whose unknown words equal no output's."""
        return self(tokens, UNKNOWN_IN_REFERENCE)

    def join(self, tokens: str) -> str:
        """Join marked subwords to words."""
        return data_utils.post_process(tokens, self.marks)


class ValidationMetric:
    """The metric of ``cfg.eval_metric`` over decoded batches."""

    def __init__(self, cfg: Seq2SeqTaskConfig, text: TargetText, is_signal: bool):
        self.cfg, self.text, self.is_signal = cfg, text, is_signal
        self.dictionary, self.codec = text.dictionary, text.codec
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

    def read_references(self, folder: Path, split: str, dataset: PairDataset) -> list[Reference] | None:
        """Return the references of a split from its original texts; None if the folder has ids alone.

        Raises:
            UserError: there is not one reference for each item.
        """
        source, target = str(self.cfg.source_lang), str(self.cfg.target_lang)
        texts: Sequence[str | list[str]]
        if self.is_signal or (folder / "text" / f"{split}.{target}").is_file():
            texts = read_references(folder, split, source, target)
        elif self.codec is None and dataset.tgt is not None and dataset.tgt.path.is_file():  # --dataset-impl raw
            texts = [self.text.join(line) for line in dataset.tgt.lines or ()]
        else:
            return None
        sources = [""] * len(texts)
        if self.codec is not None and self.codec.copy_slots:
            sources = read_prepared(folder / "text" / f"{split}.{source}")
        if not len(texts) == len(sources) == len(dataset):
            raise UserError(
                f"{folder}: {len(dataset):,} items in split '{split}' but {len(texts):,} references; run the prepare "
                "stage again"
            )
        if self.cfg.eval_tokenizer == AUTO:  # of the whole set, whatever its batches hold
            all_texts = (each for text in texts for each in ([text] if isinstance(text, str) else text))
            self.metric = Metric(str(self.cfg.eval_metric), tokenizer_of_texts(all_texts))
        pairs = zip(texts, sources, strict=True)
        return [Reference([text] if isinstance(text, str) else text, source) for text, source in pairs]

    def statistics(self, hypotheses: list[list[dict]], batch: dict) -> dict[str, int]:
        """Return a batch's sums for the logging output."""
        unknown = UNKNOWN_IN_HYPOTHESIS if self.codec is None else None  # outputs of a codec are those of a run
        outputs = [self.text(each[0]["tokens"], unknown) for each in hypotheses]
        references: list[Reference] | None = batch.get("references")
        if references is None:
            references = [Reference([self.text.reference(each)], "") for each in batch["target"]]
        elif self.codec is not None:
            outputs = [self.codec.fill(text, source) for text, (_, source) in zip(outputs, references, strict=True)]
        pairs = [(text, texts) for text, (texts, _) in zip(outputs, references, strict=True)]
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
