"""Batched beam search over ``Decoder.step``, giving hypotheses in fairseq's shape."""

from __future__ import annotations

import math

import torch
from fairseq.data import Dictionary
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.errors import UserError
from s2s_plugin.models.decoders import DecoderState
from s2s_plugin.models.generator import Generator
from s2s_plugin.models.memory import Memory
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.alignment import alignment
from s2s_plugin.search.back_pointers import BackPointers, Finished, Step
from s2s_plugin.search.constraints import Constraints
from s2s_plugin.search.ctc import CTCPrefixes
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.precision import convert
from s2s_plugin.search.rules import FORCED_EOS_LOGPROB, NEG_INF, LogitsConstraints
from s2s_plugin.search.sampling import Sampler
from s2s_plugin.search.shortlist import Selection, Shortlist
from s2s_plugin.search.topk import best_continuations

SYNC_INTERVAL = {"cpu": 1, "cuda": 8}  # steps between checks for finished sentences, which make a GPU wait


class BeamSearch:
    """Finds argmax_Y log P(Y|X) / |Y|^lenpen approximately, K hypotheses at a time.

    Semantics are those of ``fairseq.sequence_generator``: 2K candidates a step; </s> ends a hypothesis only
    among the best K; a sentence is done with K finished hypotheses or at its longest length; |Y| counts </s>.
    It differs where that depends on the batch: the longest length, max_len_a * |X| + max_len_b, is each
    sentence's own. The memory is never copied per beam. Several models are averaged in probability. With ``ctc_weight``
    w the score is (1 - w) log P(Y|X) + w log P_CTC(Y|X), the latter of the first model (Hori et al. 2017).

    Args:
        models: trained on the same dictionaries.
        dictionary: of the target.
        options: see :class:`BeamOptions`.
        precision: a name in ``PRECISIONS``, to which the models are converted in place, for good; None leaves them
            as they are.
        shortlist: what each source symbol may become; None: any symbol.

    Raises:
        UserError: a model's generator cannot score a shortlist alone.
    """

    def __init__(
        self,
        models: list[Seq2SeqModel],
        dictionary: Dictionary,
        options: BeamOptions,
        precision: str | None = None,
        shortlist: Shortlist | None = None,
    ):
        self.options, self.precision, self.shortlist = options, precision, shortlist
        self.pad, self.unk, self.eos = dictionary.pad(), dictionary.unk(), dictionary.eos()
        self.blank = dictionary.bos()
        self.symbols_to_strip_from_output = {self.eos}
        self.longest = min(model.max_decoder_positions() for model in models) - 1
        self.num_finished = max(1, round(options.patience * options.beam))  # finished hypotheses of a sentence
        for model in models:
            if shortlist is not None and type(model.decoder.generator) is not Generator:
                raise UserError(
                    "task.shortlist is for generators that score each symbol by itself: no pointer, no cutoffs"
                )
            model.eval()
            if precision is not None:
                convert(model, precision)

    def generate(
        self,
        models: list[Seq2SeqModel],
        sample: dict,
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
        **_: object,
    ) -> list[list[dict]]:
        """Translate a batch.

        Args:
            models: ensemble of one or more.
            sample: fairseq's batch; ``net_input`` holds ``src_tokens`` B x S and ``src_lengths`` B.
            prefix_tokens: B x P ids every hypothesis must begin with, padded on the right.
            constraints: B rows of what each output must hold, as fairseq packs them; with ``options.constraints``.

        Returns:
            for each of the B sentences 1 to K hypotheses, best first, each a dict with ``tokens`` (ids, with
            </s>), ``score`` (natural log, length-normalised), ``positional_scores`` (one per token),
            ``attention`` (S x T, or None) and ``alignment``.
        """
        required = None
        if constraints is not None or self.options.constraints is not None:
            if constraints is None or self.options.constraints is None:
                raise UserError(
                    "generation.constraints is for lines of fairseq-interactive and s2s translate, which bring what "
                    "the output must hold, each after a tab"
                )
            required = Constraints(constraints, self.options.constraints == "ordered", self.eos)
        with torch.inference_mode():
            record, memory_lengths = self._search(models, sample, prefix_tokens, required)
        found = list(map(self.finalize, record.hypotheses(), memory_lengths))
        return found if required is None else required.filter_satisfied(found)

    def _search(
        self, models: list[Seq2SeqModel], sample: dict, prefix_tokens: Tensor | None, constraints: Constraints | None
    ) -> tuple[BackPointers, list[int]]:
        """What was written for each sentence, and the memory steps of each."""
        source, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"]
        batch, beam, device = source.size(0), self.options.beam, source.device
        memories = self._encode(models, source, lengths)
        memory_lengths = memories[0].padding_mask.logical_not().sum(1)  # B: memory steps
        states = [m.decoder.rnn.initial_state(memory) for m, memory in zip(models, memories, strict=True)]
        group = models[0].encoder.group
        read = ((lengths + group - 1) // group).double()  # B: |X|, which factors do not lengthen
        limit = (self.options.max_len_a * read + self.options.max_len_b).long().clamp(1, self.longest)  # B
        least = (self.options.min_len_a * read + self.options.min_len).long()  # B
        selection = None
        if self.shortlist is not None:  # from here on a symbol is its place in the list; special ones have kept theirs
            selection = self.shortlist.select(source, prefix_tokens, models)
            prefix_tokens = None if prefix_tokens is None else torch.searchsorted(selection.ids, prefix_tokens)
        rules = LogitsConstraints(self.options, (self.pad, self.unk, self.eos), limit, least, prefix_tokens)
        width = beam if self.options.sampling else 1  # hypotheses of a sentence; all begin alike, but for what is drawn
        sampler = Sampler(self.options, sample, limit, self.eos) if self.options.sampling else None
        ctc = None
        if self.options.ctc_weight and models[0].ctc is not None:
            logits = models[0].ctc(memories[0].values)
            ctc = CTCPrefixes(logits, memories[0].padding_mask, width, self.blank, self.eos)
        first = torch.arange(batch, device=device).repeat_interleave(width)
        states = [state.reorder(first) for state in states]  # N = B * K rows

        record = BackPointers(batch, self.eos, None if selection is None else selection.ids)
        sentence = torch.arange(batch, device=device)  # of the n still unfinished
        count = torch.zeros(batch, dtype=torch.long, device=device)  # n: hypotheses that have ended
        total = torch.zeros(batch, width, device=device)  # n x K sums of log-probabilities
        tokens = torch.full((batch, width, 1), self.eos, device=device)  # n x K x (t + 1)
        for step in range(int(limit.max()) + 1):
            last = tokens[:, :, -1]
            states, scores, weights = self._step(models, states, memories, last, selection)
            end = scores[..., self.eos].clone()  # n x K
            rules.apply(scores, tokens, step)
            if ctc is not None:
                scores, candidates, extended = self._with_ctc(scores, last, ctc)
            if constraints is not None:
                constraints.forbid_end(scores)
            if sampler is not None:
                total, parent, token = sampler.choose(scores, total, end, step)  # n x K each
            else:
                best = self._best(scores, total, end, count, sentence)
                total, parent, token = (
                    best if constraints is None else constraints.allocate_banks(scores, total, best)
                )  # n x 2K
            ends = token.eq(self.eos) & total.ne(NEG_INF)
            counted = ends[:, :beam]
            counted = counted & (counted.cumsum(1) + count.unsqueeze(1) <= self.num_finished)
            count = count + counted.sum(1)
            ended = (counted, parent[:, :beam], total[:, :beam])
            # The best K candidates that do not end go on; where there are fewer, dead beams fill the rest.
            order = ends.sort(dim=1, stable=True).indices[:, :beam]  # n x K
            total = total.masked_fill(ends, NEG_INF).gather(1, order)
            parent, token = parent.gather(1, order), token.gather(1, order)
            record.add(Step(sentence, parent, token, total, *ended, weights))
            if ctc is not None:
                chosen = candidates.gather(1, parent.unsqueeze(2).expand(-1, -1, candidates.size(2)))
                ctc.follow(*extended, parent, chosen.eq(token.unsqueeze(2)).int().argmax(2))
            if constraints is not None:
                constraints.follow(parent, token)
            tokens = self._write(tokens, parent, token)
            rows = parent + torch.arange(0, last.numel(), last.size(1), device=device).unsqueeze(1)  # n x K rows of N
            if (step + 1) % sync_interval(total) == 0:
                active = (count < self.num_finished) & (rules.limit > step) & total.amax(1).ne(NEG_INF)
                active = active.nonzero().squeeze(1)
                if not len(active):
                    break
                if len(active) < len(rows):
                    total, rows, sentence, count = total[active], rows[active], sentence[active], count[active]
                    tokens = tokens[active]
                    memories = [memory.reorder(active) for memory in memories]
                    for part in (rules, ctc, sampler, selection, constraints):
                        if part is not None:
                            part.keep(active)
            if beam > 1 or len(rows) < len(last):
                states = [state.reorder(rows.view(-1)) for state in states]
        return record, memory_lengths.tolist()

    def _encode(self, models: list[Seq2SeqModel], source: Tensor, lengths: Tensor) -> list[Memory]:
        """What each model makes of the source; in its own format, if only its products were in bfloat16."""
        if self.precision not in ("bf16", "int8"):
            return [model.encode(source, lengths) for model in models]
        memories = []
        for model in models:
            with torch.autocast(source.device.type, torch.bfloat16):
                memory = model.encode(source, lengths)
            dtype = next(model.decoder.parameters()).dtype
            memories.append(Memory._make(f.to(dtype) if f is not None and f.is_floating_point() else f for f in memory))
        return memories

    def _step(
        self,
        models: list[Seq2SeqModel],
        states: list[DecoderState],
        memories: list[Memory],
        last: Tensor,
        selection: Selection | None = None,
    ) -> tuple[list[DecoderState], Tensor, Tensor | None]:
        """One step of every model after symbols ``last``, n x K.

        Returns:
            states, log-probabilities n x K x V, attention weights n x K x S if someone asked for them.
        """
        after, scores, attention = [], [], []
        shape, last = last.shape, last.flatten()
        if selection is not None:
            last = selection.ids[last]
        for number, (model, state, memory) in enumerate(zip(models, states, memories, strict=True)):
            embedded, shares = model.decoder.embedding(last), model.decoder.cached_input_gates
            share = None if shares is None else F.embedding(last, shares)
            state, features, weights = model.decoder.rnn.step(embedded, state, memory, share)
            if selection is None:
                logits = model.decoder.generator(features, weights, memory).float()
            else:
                logits = selection.score(number, features)
            if self.options.temperature != 1:
                logits = logits / self.options.temperature
            after.append(state)
            scores.append(logits.log_softmax(-1))
            attention.append(weights)
        mean = scores[0]
        if len(models) > 1:
            mean = torch.stack(scores).logsumexp(0) - math.log(len(models))
        seen = None
        if self.options.reads_attention:
            seen = torch.stack(attention).mean(0).float().unflatten(0, shape)
        return after, mean.unflatten(0, shape), seen

    def _with_ctc(self, scores: Tensor, last: Tensor, ctc: CTCPrefixes) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Scores n x K x V with CTC's share, for the most likely symbols and </s> alone; these, and what CTC found."""
        scores = scores.nan_to_num(nan=NEG_INF, neginf=NEG_INF)
        _, candidates = scores.topk(min(2 * self.options.beam, scores.size(2)), dim=2)
        candidates = torch.cat((candidates, torch.full_like(candidates[:, :, :1], self.eos)), 2)  # n x K x C
        gain, totals, endings = ctc.extend(last, candidates)
        weight = self.options.ctc_weight
        joint = (1 - weight) * scores.gather(2, candidates) + weight * gain
        return torch.full_like(scores, NEG_INF).scatter_(2, candidates, joint), candidates, (totals, endings)

    def _best(
        self, scores: Tensor, total: Tensor, end: Tensor, count: Tensor, sentence: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The best 2K continuations of each sentence.

        Args:
            scores: n x K x V of the next symbol.
            total: n x K so far.
            end: n x K of </s>, for a sentence that has no hypothesis yet, and where nothing may follow.
            count: n hypotheses that have ended.
            sentence: n numbers in the batch, ascending.

        Returns:
            totals, parents (beam numbers) and tokens, n x 2K each, best first.
        """
        best, parent, token = best_continuations(scores, total, 2 * self.options.beam)
        if sync_interval(best) > 1 or best[:, 0].min() == NEG_INF:  # a look would cost a GPU more than it saves
            stuck = (best[:, 0].eq(NEG_INF) & count.eq(0)).unsqueeze(1)
            last = total + end.nan_to_num(nan=NEG_INF).clamp(min=FORCED_EOS_LOGPROB)  # n x K
            last, at = last.topk(min(self.options.beam, last.size(1)), dim=1)
            missing = (0, best.size(1) - last.size(1))
            best = torch.where(stuck, F.pad(last, missing, value=NEG_INF), best)
            parent = torch.where(stuck, F.pad(at, missing), parent)
            token = token.masked_fill(stuck, self.eos)
        return best, parent, token

    @staticmethod
    def _write(tokens: Tensor, parent: Tensor, token: Tensor) -> Tensor:
        """Continue n x K x t ``tokens`` of the beams ``parent`` with ``token``, n x K each."""
        return torch.cat((tokens.gather(1, parent.unsqueeze(2).expand(-1, -1, tokens.size(2))), token.unsqueeze(2)), 2)

    def finalize(self, found: list[Finished], extent: int) -> list[dict]:
        """Hypotheses of a sentence with ``extent`` memory steps, in fairseq's shape."""
        options, hypotheses = self.options, list[dict]()
        for tokens, token_logprobs, total, attention in found:
            score = options.score(total, len(tokens))
            if attention is not None:
                attention = attention[:, :extent]  # T x S
                if options.coverage_penalty:
                    score += options.coverage_penalty * attention.sum(0).clamp(1e-30, 1).log().sum().item()
            hypotheses.append(
                {
                    "tokens": tokens,
                    "score": score,
                    "positional_scores": token_logprobs,
                    "attention": None if attention is None else attention.t(),
                    "alignment": alignment(attention, options.print_alignment, options.replace_unk is not None),
                }
            )
        return sorted(hypotheses, key=lambda hypothesis: -hypothesis["score"])[: options.beam]


def sync_interval(tensor: Tensor) -> int:
    """Steps from one look at numbers to the next."""
    return SYNC_INTERVAL.get(tensor.device.type, 1)
