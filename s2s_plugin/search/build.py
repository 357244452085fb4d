"""The search that a task's options ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.scoring.rewards import build_reward
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.diverse import DiverseBeamSearch
from s2s_plugin.search.mbr import MinimumBayesRisk
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.shortlist import Shortlist, learn

if TYPE_CHECKING:
    from s2s_plugin.tasks.seq2seq import Seq2SeqTask


def build_search(task: Seq2SeqTask, models: list[Seq2SeqModel], options: BeamOptions) -> BeamSearch | MinimumBayesRisk:
    """Ours; the models are converted to the precision of the task's options.

    Raises:
        UserError: options that do not go together.
    """
    precision, shortlist = str(task.cfg.search_precision), build_shortlist(task)
    if shortlist is not None and options.constraints is not None:
        raise UserError("generation.constraints may hold what a shortlist leaves out: set task.shortlist=0")
    if shortlist is not None and options.ctc_weight and models[0].ctc is not None:
        raise UserError("task.ctc_search_weight looks at all symbols, a shortlist at some: set one of them to 0")
    kind = DiverseBeamSearch if options.diverse_beam_groups > 0 else BeamSearch
    search = kind(models, task.target_dictionary, options, precision, shortlist)
    return wrap_mbr(task, search, options)


def wrap_mbr(task: Seq2SeqTask, search: Any, options: BeamOptions) -> Any:
    """With ``options.mbr``, of what a search finds what is most like the rest."""
    if options.mbr == "none":
        return search
    utility = build_reward(str(options.mbr), task.cfg.eval_tokenizer)
    return MinimumBayesRisk(search, utility, task.text, options.sampling)


def check_replace_unk(task: Seq2SeqTask, models: Sequence[nn.Module]) -> None:
    """
    Raises:
        UserError: unknown words cannot be replaced by those of the source.
    """
    if task.frontend is not None:
        raise UserError(f"--replace-unk copies words of the source, which {task.modality} has not: leave it out")
    if task.codec is not None and not task.codec.whole_words:
        raise UserError(
            f"--replace-unk is for vocabularies of words (subword.kind=word); {task.cfg.data} has subwords, which "
            "spell every word: leave it out"
        )
    if any(model.encoder.stride != model.encoder.group for model in models if isinstance(model, Seq2SeqModel)):
        raise UserError("--replace-unk asks for single words, and the encoder joins some: leave it out")


def build_shortlist(task: Seq2SeqTask) -> Shortlist | None:
    """What each source symbol may become, beside the data; learnt from the training pairs where it is missing.

    Raises:
        UserError: the source is no text.
    """
    cfg = task.cfg
    if not cfg.shortlist:
        return None
    if task.source_dictionary is None:
        raise UserError("task.shortlist goes by source symbols, which recordings and pictures have not: set it to 0")
    path = task.folder / f"shortlist.{cfg.source_lang}-{cfg.target_lang}.pt"
    if not path.is_file():
        task.load_dataset("train")
        dataset = task.dataset("train")
        pairs = ((dataset.sources[i].numpy(), dataset.targets[i].numpy()) for i in range(len(dataset)))
        learn(pairs, (len(task.source_dictionary), len(task.target_dictionary))).save(path)
    return Shortlist.load(path, cfg.shortlist)
