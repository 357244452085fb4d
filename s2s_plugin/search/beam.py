"""Batched beam search over ``Decoder.step``, giving hypotheses in fairseq's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from fairseq.data import Dictionary
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.models.decoders import DecoderState
from s2s_plugin.models.memory import Memory
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.ctc import CTCPrefixes

NEVER = float("-inf")
HARDLY = -1e4  # log-probability of a </s> that has none, where a hypothesis must end


@dataclass(frozen=True)
class BeamOptions:
    """Options of fairseq's ``GenerationConfig`` that this search implements, with its names and defaults."""

    beam: int = 5
    max_len_a: float = 0.0
    max_len_b: int = 200
    min_len: int = 1
    unnormalized: bool = False
    lenpen: float = 1.0
    unkpen: float = 0.0
    temperature: float = 1.0
    no_repeat_ngram_size: int = 0
    print_alignment: str | None = None
    ctc_weight: float = 0.0  # ours: share of the CTC layer in the score, where the model has one

    @classmethod
    def of(cls, args: object, ctc_weight: float) -> BeamOptions:
        """From a config or namespace, which may lack some of the fields."""
        known = {name: getattr(args, name, None) for name in cls.__dataclass_fields__}
        return cls(**{name: value for name, value in known.items() if value is not None} | {"ctc_weight": ctc_weight})

    def __post_init__(self):
        if self.beam < 1:
            raise UserError(f"generation.beam is {self.beam}: give a number of at least 1")
        if self.temperature <= 0:
            raise UserError(f"generation.temperature is {self.temperature}: give a number above 0")
        if not 0 <= self.ctc_weight < 1:
            raise UserError(f"task.ctc_search_weight is {self.ctc_weight}: give a number from 0 to below 1")


class Beams(NamedTuple):
    """The unfinished hypotheses of n sentences, K each; all fields begin with n x K.

    Attributes:
        tokens: n x K x (t + 1) ids, first </s>.
        totals: n x K x t sums of log-probabilities after each symbol; -inf marks a dead beam.
        attention: n x K x t x S weights, or t = 0 throughout where nobody asked for them.
    """

    tokens: Tensor
    totals: Tensor
    attention: Tensor

    def extend(self, parent: Tensor, token: Tensor, total: Tensor, weights: Tensor | None) -> Beams:
        """Hypotheses that continue ``parent`` (n x K beam numbers) with ``token``, to ``total`` (n x K)."""

        def follow(field: Tensor) -> Tensor:
            index = parent.view(*parent.shape, *[1] * (field.dim() - 2)).expand(-1, -1, *field.shape[2:])
            return field.gather(1, index)

        attention = self.attention
        if weights is not None:
            attention = torch.cat((follow(attention), follow(weights.unsqueeze(2))), 2)
        return Beams(
            torch.cat((follow(self.tokens), token.unsqueeze(2)), 2),
            torch.cat((follow(self.totals), total.unsqueeze(2)), 2),
            attention,
        )

    def keep(self, sentences: Tensor) -> Beams:
        return Beams(*(field.index_select(0, sentences) for field in self))


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
    """

    def __init__(self, models: list[Seq2SeqModel], dictionary: Dictionary, options: BeamOptions):
        self.options = options
        self.pad, self.unk, self.eos = dictionary.pad(), dictionary.unk(), dictionary.eos()
        self.blank = dictionary.bos()
        self.vocabulary = len(dictionary)
        self.symbols_to_strip_from_output = {self.eos}
        self.longest = min(model.max_decoder_positions() for model in models) - 1
        for model in models:
            model.eval()

    @torch.no_grad()
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
            constraints: must be None (fairseq's own search handles them).

        Returns:
            for each of the B sentences 1 to K hypotheses, best first, each a dict with ``tokens`` (ids, with
            </s>), ``score`` (natural log, length-normalised), ``positional_scores`` (one per token),
            ``attention`` (S x T, or None) and ``alignment``.
        """
        assert constraints is None
        source, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"]
        batch, beam, device = source.size(0), self.options.beam, source.device
        memories = [model.encode(source, lengths) for model in models]
        states = [m.decoder.recurrence.start(memory) for m, memory in zip(models, memories, strict=True)]
        spread = torch.arange(batch, device=device).repeat_interleave(beam)
        states = [state.reorder(spread) for state in states]  # N = B * K rows
        limit = self.options.max_len_a * lengths.double() + self.options.max_len_b
        limit = limit.long().clamp(1, self.longest)  # B
        extents = memories[0].padding_mask.logical_not().sum(1)  # B: memory steps

        beams = Beams(
            torch.full((batch, beam, 1), self.eos, device=device),
            torch.zeros(batch, beam, 0, device=device),
            torch.zeros(batch, beam, 0, memories[0].values.size(1), device=device),
        )
        ctc = None
        if self.options.ctc_weight and models[0].ctc is not None:
            logits = models[0].ctc(memories[0].values)
            ctc = CTCPrefixes(logits, memories[0].padding_mask, beam, self.blank, self.eos)
        total = torch.full((batch, beam), NEVER, device=device)
        total[:, 0] = 0  # all beams begin alike: only the first may be continued
        sentence = torch.arange(batch, device=device)  # of the n still unfinished
        finished: list[list[dict]] = [[] for _ in range(batch)]

        for step in range(int(limit.max()) + 1):
            states, scores, weights = self._step(models, states, memories, beams.tokens[:, :, -1].reshape(-1))
            end = scores[..., self.eos].clone()  # n x K
            self._constrain(scores, beams, step, limit[sentence], prefix_tokens)
            if ctc is not None:
                scores, candidates, extended = self._with_ctc(scores, beams.tokens[:, :, -1], ctc)
            before, (total, parent, token) = total, self._best(scores, total)  # n x 2K each, best first
            stuck = total[:, 0].eq(NEVER)
            if stuck.any():  # nothing may follow, or the scores are no numbers: what has no result yet ends here
                stuck &= torch.tensor([not finished[number] for number in sentence.tolist()], device=device)
                scores[stuck, :, self.eos] = end[stuck].clamp(min=HARDLY)
                total, parent, token = self._best(scores, before)
            ends = token.eq(self.eos) & total.ne(NEVER)
            seen = None if self.options.print_alignment is None else weights
            done = self._finish(finished, sentence, beams, parent, total, ends, seen, step, limit, extents)
            # The best K candidates that do not end go on; where there are fewer, dead beams fill the rest.
            order = ends.to(torch.int8).sort(dim=1, stable=True).indices[:, :beam]  # n x K
            total = total.masked_fill(ends, NEVER).gather(1, order)
            parent, token = parent.gather(1, order), token.gather(1, order)
            if ctc is not None:
                chosen = candidates.gather(1, parent.unsqueeze(2).expand(-1, -1, candidates.size(2)))
                ctc.follow(*extended, parent, chosen.eq(token.unsqueeze(2)).int().argmax(2))
            done |= total.eq(NEVER).all(1)
            beams = beams.extend(parent, token, total, seen)
            rows = parent + torch.arange(len(parent), device=device).unsqueeze(1) * beam  # n x K rows of N
            if done.any():
                if done.all():
                    break
                going = done.logical_not().nonzero().squeeze(1)
                beams, total, rows, sentence = beams.keep(going), total[going], rows[going], sentence[going]
                memories = [memory.reorder(going) for memory in memories]
                prefix_tokens = None if prefix_tokens is None else prefix_tokens[going]
                if ctc is not None:
                    ctc.keep(going)
            states = [state.reorder(rows.view(-1)) for state in states]
        return [sorted(hypotheses, key=lambda h: -h["score"]) for hypotheses in finished]

    def _step(
        self, models: list[Seq2SeqModel], states: list[DecoderState], memories: list[Memory], last: Tensor
    ) -> tuple[list[DecoderState], Tensor, Tensor]:
        """One step of every model. ``last``: N ids. Returns states, log-probabilities n x K x V, weights."""
        after, scores, attention = [], [], []
        for model, state, memory in zip(models, states, memories, strict=True):
            state, features, weights = model.decoder.recurrence.step(model.decoder.embedding(last), state, memory)
            logits = model.decoder.generator(features, weights, memory).float() / self.options.temperature
            after.append(state)
            scores.append(logits.log_softmax(-1))
            attention.append(weights)
        mean = scores[0]
        if len(models) > 1:
            mean = torch.stack(scores).logsumexp(0) - torch.tensor(float(len(models))).log()
        weights = torch.stack(attention).mean(0).float()  # N x S
        per_sentence = (-1, self.options.beam)
        return (
            after,
            mean.nan_to_num(nan=NEVER, neginf=NEVER).unflatten(0, per_sentence),
            weights.unflatten(0, per_sentence),
        )

    def _with_ctc(self, scores: Tensor, last: Tensor, ctc: CTCPrefixes) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Scores n x K x V with CTC's share, for the most likely symbols and </s> alone; these, and what CTC found."""
        _, candidates = scores.topk(min(2 * self.options.beam, scores.size(2)), dim=2)
        candidates = torch.cat((candidates, torch.full_like(candidates[:, :, :1], self.eos)), 2)  # n x K x C
        gain, *extended = ctc.extend(last, candidates)
        weight = self.options.ctc_weight
        joint = (1 - weight) * scores.gather(2, candidates) + weight * gain
        return torch.full_like(scores, NEVER).scatter_(2, candidates, joint), candidates, (extended[0], extended[1])

    def _constrain(self, scores: Tensor, beams: Beams, step: int, limit: Tensor, prefix: Tensor | None) -> None:
        """Forbid (in place, n x K x V) what may not come next."""
        scores[..., self.pad] = NEVER
        scores[..., self.unk] -= self.options.unkpen
        self._forbid_all_but(scores, (step >= limit).unsqueeze(1), torch.full_like(limit, self.eos))
        forced = torch.zeros_like(limit, dtype=torch.bool)
        if prefix is not None and step < prefix.size(1):
            forced = prefix[:, step].ne(self.pad) & (step < limit)
            self._forbid_all_but(scores, forced.unsqueeze(1), prefix[:, step])
        if step < self.options.min_len:
            early = ~forced & (step < limit)
            scores[..., self.eos] = scores[..., self.eos].masked_fill(early.unsqueeze(1), NEVER)
        size = self.options.no_repeat_ngram_size
        if 0 < size <= step:
            written = beams.tokens[:, :, 1:]
            grams = written.unfold(2, size, 1)  # n x K x W x size
            tail = written[:, :, written.size(2) - size + 1 :].unsqueeze(2)  # n x K x 1 x (size - 1)
            repeats = (grams[..., :-1] == tail).all(-1)  # n x K x W
            repeats &= ~forced.view(-1, 1, 1)
            banned = torch.where(repeats, grams[..., -1], self.pad)  # pad is forbidden already
            scores.scatter_(2, banned, NEVER)

    @staticmethod
    def _forbid_all_but(scores: Tensor, where: Tensor, token: Tensor) -> None:
        """In the sentences of ``where`` (n x 1) only ``token`` (n) stays possible."""
        index = token.view(-1, 1, 1).expand(-1, scores.size(1), 1)
        only = torch.full_like(scores, NEVER).scatter_(2, index, scores.gather(2, index))
        scores.copy_(torch.where(where.unsqueeze(2), only, scores))

    def _best(self, scores: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best 2K continuations of each sentence.

        Args:
            scores: n x K x V of the next symbol.
            total: n x K so far.

        Returns:
            totals, parents (beam numbers) and tokens, n x 2K each, best first.
        """
        width = min(2 * self.options.beam, scores.size(2) - 1)
        best, token = scores.topk(width, dim=2)  # n x K x width: no other can be among the 2K of a sentence
        together = (best + total.unsqueeze(2)).flatten(1)
        best, index = together.topk(min(2 * self.options.beam, together.size(1)), dim=1)
        return best, index // width, token.flatten(1).gather(1, index)

    def _finish(
        self,
        finished: list[list[dict]],
        sentence: Tensor,
        beams: Beams,
        parent: Tensor,
        total: Tensor,
        ends: Tensor,
        weights: Tensor | None,
        step: int,
        limit: Tensor,
        extents: Tensor,
    ) -> Tensor:
        """Record the hypotheses that end among the best K. Returns n bools: nothing more is wanted."""
        beam = self.options.beam
        for row, rank in ends[:, :beam].nonzero().tolist():
            number = int(sentence[row])
            if len(finished[number]) == beam:
                continue
            source = int(parent[row, rank])
            end = total[row, rank]
            totals = torch.cat((beams.totals[row, source], end.unsqueeze(0)))
            attention = None
            if weights is not None:
                attention = torch.cat((beams.attention[row, source], weights[row, source].unsqueeze(0)))
                attention = attention[:, : int(extents[number])]  # T x S
            tokens = torch.cat((beams.tokens[row, source, 1:], beams.tokens.new_tensor([self.eos])))
            length = 1.0 if self.options.unnormalized else (step + 1) ** self.options.lenpen
            finished[number].append(
                {
                    "tokens": tokens,
                    "score": end.item() / length,
                    "positional_scores": totals.diff(prepend=totals.new_zeros(1)),
                    "attention": None if attention is None else attention.t(),
                    "alignment": self._alignment(attention),
                }
            )
        counts = torch.tensor([len(finished[number]) for number in sentence.tolist()], device=sentence.device)
        return (counts == beam) | (step >= limit[sentence])

    def _alignment(self, attention: Tensor | None) -> list:
        """What ``fairseq-generate --print-alignment`` prints: T - 1 (source, target), or T x S weights."""
        if attention is None:
            return []
        if self.options.print_alignment == "soft":
            return [[f"{weight:.6f}" for weight in row] for row in attention.tolist()]
        return [(source, target) for target, source in enumerate(attention[:-1].argmax(1).tolist())]
