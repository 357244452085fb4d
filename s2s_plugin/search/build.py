"""The search that the options require."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fairseq.data import Dictionary
from fairseq.ngram_repeat_block import NGramRepeatBlock
from torch import Tensor, nn

from s2s_plugin.models.generator import Generator
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.diverse import DiverseBeamSearch
from s2s_plugin.search.knn.datastore import Datastore
from s2s_plugin.search.options import BeamOptions, both_names, require
from s2s_plugin.search.precision import convert
from s2s_plugin.search.shortlist import Shortlist
from s2s_plugin.search.state import NEG_INF

Copies = dict[tuple[Seq2SeqModel, str], Seq2SeqModel]  # by model and precision


def build_search(
    models: list[Seq2SeqModel],
    dictionary: Dictionary,
    options: BeamOptions,
    precision: str = "fp32",
    shortlist: Shortlist | None = None,
    datastore: Datastore | None = None,
    copies: Copies | None = None,
) -> BeamSearch:
    """Return our search, with copies of the models in a precision of ``PRECISIONS``; see :class:`BeamSearch`.

    ``copies`` keeps them, for other searches with models whose weights do not change.

    Raises:
        UserError: this machine does not support the precision, the models or options do not support a shortlist, or the
            datastore is not of the model.
    """
    if datastore is not None:
        require(len(models) == 1, f"task.knn requires a single model, got {len(models)}: its states are of one")
        require(shortlist is None, "task.knn and task.shortlist are mutually exclusive")
        datastore.check_model(models[0], len(dictionary))
    if shortlist is not None:
        require(options.constraints is None, "task.shortlist and generation.constraints are mutually exclusive")
        ctc = options.ctc_search_weight > 0 and models[0].ctc is not None
        require(not ctc, "task.shortlist and task.ctc_search_weight are mutually exclusive")
        plain = all(type(model.decoder.generator) is Generator for model in models)
        require(plain, "task.shortlist requires models without pointer and adaptive softmax")
    kind = DiverseBeamSearch if options.diverse_beam_groups > 0 else BeamSearch
    # In bfloat16 the sums of an encoder depend on the batch, and int8 would turn that into other outputs.
    encoder_dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    copies = {} if copies is None else copies
    for model in models:
        if (model, precision) not in copies:
            copies[model, precision] = convert(model, precision)
    return kind(
        [copies[model, precision] for model in models], dictionary, options, encoder_dtype, shortlist, datastore
    )


def check_replace_unk(models: Sequence[nn.Module], modality: str, whole_words: bool) -> None:
    """Raise a UserError if ``--replace-unk`` cannot copy source words, or attention does not point to single ones."""
    name = both_names("replace_unk")
    require(modality == "text", f"{name} requires a text source, got {modality}")
    require(whole_words, f"{name} requires a vocabulary of words (subword.kind=word), got subwords")
    strides = [model.encoder.stride == model.encoder.group for model in models if isinstance(model, Seq2SeqModel)]
    require(all(strides), f"{name} requires one encoder state per word (model.encoder_pyramid=0)")


class NGramBlocker(NGramRepeatBlock):
    """Fix ``--no-repeat-ngram-size`` in fairseq's own search.

    Without its CUDA extension that reads unset tokens, and blocks none with size 1.
    """

    def _no_repeat_ngram(self, tokens: Tensor, lprobs: Tensor, bsz: int, beam_size: int, step: int) -> Tensor:
        if self.no_repeat_ngram_size == 1:
            return lprobs.scatter_(1, tokens[:, 1 : step + 1], NEG_INF)  # all but the </s> at the start
        return super()._no_repeat_ngram(tokens[:, : step + 1], lprobs, bsz, beam_size, step)
