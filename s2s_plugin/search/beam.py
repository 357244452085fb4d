"""Batched beam search over ``Decoder.step``, returning hypotheses in fairseq's format."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from fairseq.data import Dictionary
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.errors import UserError
from s2s_plugin.models.memory import Memory
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.search.back_pointers import Finished, Step, to_fairseq, trace_back
from s2s_plugin.search.constraints import LexicalConstraints
from s2s_plugin.search.ctc import CTCPrefixes
from s2s_plugin.search.knn.datastore import Datastore
from s2s_plugin.search.knn.generator import NeighborGenerator
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.rules import LogitsConstraints
from s2s_plugin.search.sampling import Sampler
from s2s_plugin.search.shortlist import Shortlist
from s2s_plugin.search.state import NEG_INF, OBSERVER, SYNC_INTERVAL, BeamState, Collaborator, Selector
from s2s_plugin.search.topk import TopK


class BeamSearch:
    """Find argmax_Y log P(Y|X) / |Y|^lenpen approximately, K hypotheses at a time.

    The semantics are those of ``fairseq.sequence_generator``: 2K candidates a step; </s> finishes a hypothesis only
    among the best K; |Y| counts </s>. Unlike there, no output depends on the batch: the maximum length, max_len_a * |X|
    + max_len_b, is each sentence's own. The memory is never copied per hypothesis. Several models are averaged in
    probability. With ``ctc_search_weight`` w the score is (1 - w) log P(Y|X) + w log P_CTC(Y|X), the latter of the
    first model (Hori et al. 2017).

    A sentence is done at its maximum length, or when K hypotheses have finished, the greedy one among them, and no
    unfinished one has a higher score so far than the best of them. For lenpen <= 0 none can overtake it then (Huang et
    al. 2017, section 3; unkpen >= 0). For lenpen > 0 that would need tokens likelier than those so far; to exclude it
    too, by log P / max_len^lenpen, takes up to nine times as long. Because the greedy hypothesis keeps its place in the
    beam until it ends, no output scores lower than with K = 1.

    With ``search_patience`` p, a sentence is done with p * K finished hypotheses (Kasai et al. 2022), whatever they
    are: p = 1 is fairseq's search. Constraints imply it: hypotheses that lack a constraint would always seem to lead.

    The models must share their dictionaries, and are put into evaluation mode. ``encoder_dtype`` is autocast's in the
    encoders; without a ``shortlist`` the search is among the whole vocabulary of the target's ``dictionary``; with a
    ``datastore`` the neighbors of a state have a say in the next token.
    """

    def __init__(
        self,
        models: list[Seq2SeqModel],
        dictionary: Dictionary,
        options: BeamOptions,
        encoder_dtype: torch.dtype = torch.float32,
        shortlist: Shortlist | None = None,
        datastore: Datastore | None = None,
    ):
        self.models, self.options, self.encoder_dtype, self.shortlist = models, options, encoder_dtype, shortlist
        for model in models:
            model.eval()
        self.generators: list[Callable[..., Tensor]] = [model.decoder.generator for model in models]
        if datastore is not None:
            self.generators = [NeighborGenerator(each, datastore, options) for each in self.generators]
        self.pad, self.unk, self.eos = dictionary.pad(), dictionary.unk(), dictionary.eos()
        self.blank = dictionary.bos()
        self.symbols_to_strip_from_output = {self.eos}
        self.max_positions = min(model.max_decoder_positions() for model in models) - 1
        patience = options.search_patience or 1.0
        self.num_finished = max(1, round(patience * options.beam))  # hypotheses of a sentence
        # With K = 1 the greedy hypothesis is the whole beam.
        self.stop_at_count = options.search_patience is not None or options.constraints is not None or options.beam == 1

    def generate(
        self,
        models: Any,
        sample: dict,
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
        **_: Any,
    ) -> list[list[dict]]:
        """Decode a batch.

        Args:
            models: ignored, as by fairseq's own search.
            sample: fairseq's batch; ``net_input`` holds ``src_tokens`` B x S and ``src_lengths`` B.
            prefix_tokens: B x P ids every hypothesis must begin with, padded on the right.
            constraints: B rows of what each output must contain, as fairseq packs them; with ``options.constraints``.

        Returns:
            B lists of 1 to K hypotheses, best first: ``tokens`` with </s>, ``score`` (natural log, length-normalized),
            ``positional_scores`` of the tokens, ``attention`` (S x T, or None) and ``alignment``.

        Raises:
            UserError: ``constraints`` without ``options.constraints``, or the reverse.
        """
        if (constraints is None) != (self.options.constraints is None):
            raise UserError(
                "generation.constraints requires fairseq-interactive or s2s translate, each constraint after a tab"
            )
        selector = self._selector(sample, constraints)
        with torch.inference_mode():
            steps, vocabulary, memory_lengths = self._search(sample, prefix_tokens, selector)
        if (observer := OBSERVER.get()) is not None:
            observer.finish(steps, vocabulary, self.options)
        finished = trace_back(steps, len(memory_lengths), self.eos, vocabulary)
        return list(map(self.finalize, finished, memory_lengths))

    def _search(
        self, sample: dict, prefix: Tensor | None, selector: Selector
    ) -> tuple[list[Step], Tensor | None, list[int]]:
        """Return the steps, the ids of the tokens in them, and the memory lengths of the B sentences."""
        state, collaborators = self._start(sample, prefix, selector)
        memory_lengths = state.memories[0].padding_mask.logical_not().sum(1)  # B
        interval = SYNC_INTERVAL.get(memory_lengths.device.type, 1)
        steps, beam = list[Step](), self.options.beam
        for step in range(int(state.max_len.max()) + 1):
            scores, attention = self._step(state)
            end = scores[..., self.eos].clone()  # n x K
            for each in collaborators:
                scores = each.process(scores, state)
            total, parent, token = selector.choose(scores, end, state)  # n x C candidates, best first
            ends, dead = token.eq(self.eos), total.eq(NEG_INF)
            out = ends | dead
            finished = (ends & ~(dead | state.done.unsqueeze(1)))[:, :beam]
            if self.stop_at_count:
                finished = finished & (finished.cumsum(1) + state.count.unsqueeze(1) <= self.num_finished)
            state.count = state.count + finished.sum(1)
            finished_steps = finished, parent[:, :beam], total[:, :beam]
            state.greedy = state.greedy & ~out[:, 0]
            # The best K candidates that do not end continue; where there are fewer, dead hypotheses fill the beam.
            order = out.sort(dim=1, stable=True).indices[:, :beam]  # n x K
            total = total.masked_fill(ends, NEG_INF).gather(1, order)
            parent, token = parent.gather(1, order), token.gather(1, order)
            steps.append(Step(state.sentence, parent, token, total, *finished_steps, attention))
            for each in collaborators:
                each.advance(parent, token)
            state.advance(parent, token, total)
            self._update_done(state, finished, finished_steps[2])
            if (step + 1) % interval == 0:
                active = (~state.done & (state.max_len > step) & total.amax(1).ne(NEG_INF)).nonzero().squeeze(1)
                if not len(active):
                    break
                if len(active) < len(total):
                    state.keep(active)
                    for each in collaborators:
                        each.keep(active)
            if beam > 1 or len(state.total) < len(total):
                state.reorder()
        return steps, state.vocabulary, memory_lengths.tolist()

    def _update_done(self, state: BeamState, finished: Tensor, totals: Tensor) -> None:
        """Note which sentences are done, after a step with these ``finished`` candidates of n x K ``totals``."""
        done, score = state.count >= self.num_finished, self.options.score
        if not self.stop_at_count:
            best = score(totals.masked_fill(~finished, NEG_INF).amax(1), state.step)
            state.best = torch.maximum(state.best, best)
            done = done & ~state.greedy & (score(state.total.amax(1), state.step) <= state.best)
        state.done = state.done | done

    def _selector(self, sample: dict, constraints: Tensor | None) -> Selector:
        if self.options.sampling:
            return Sampler(self.options, sample, self._max_len(sample), self.eos)
        if constraints is not None:
            return LexicalConstraints(constraints, self.options.constraints == "ordered", self.options.beam, self.eos)
        return TopK(self.options.beam, self.eos, keep_greedy=not self.stop_at_count)

    def _start(self, sample: dict, prefix: Tensor | None, selector: Selector) -> tuple[BeamState, list[Collaborator]]:
        """Encode the sources; return the state before the first step and what takes part in the steps."""
        options, lengths = self.options, self._source_lengths(sample)
        source = sample["net_input"]["src_tokens"]
        memories = self._encode(source, sample["net_input"]["src_lengths"])
        width = options.beam if options.sampling else 1  # hypotheses are all alike before the first step
        first = torch.arange(len(source), device=source.device).repeat_interleave(width)
        max_len, min_len = self._max_len(sample), (options.min_len_a * lengths + options.min_len).long()
        pairs = zip(self.models, memories, strict=True)
        state = BeamState(
            [model.decoder.rnn.initial_state(memory).reorder(first) for model, memory in pairs],
            memories,
            torch.full((len(source), width, 1), self.eos, device=source.device),
            torch.zeros(len(source), width, device=source.device),
            max_len,
            self.generators,
        )
        collaborators: list[Collaborator] = [] if (observer := OBSERVER.get()) is None else [observer]
        if self.shortlist is not None:  # tokens are now places in the list; the special ones have kept theirs
            selection = self.shortlist.select(source, prefix, self.models)
            prefix = None if prefix is None else torch.searchsorted(selection.ids, prefix)
            state.generators, state.vocabulary = selection.generators, selection.ids
            collaborators.append(selection)
        collaborators.append(LogitsConstraints(options, (self.pad, self.unk, self.eos), max_len, min_len, prefix))
        if options.ctc_search_weight and (ctc := self.models[0].ctc) is not None:
            logits, padding_mask = ctc(memories[0].values), memories[0].padding_mask
            collaborators.append(CTCPrefixes(logits, padding_mask, width, self.blank, self.eos, options))
            if observer is not None:
                observer.ctc = collaborators[-1]
        return state, [*collaborators, selector]

    def _source_lengths(self, sample: dict) -> Tensor:
        """Return B source lengths |X|; factors do not count."""
        group = self.models[0].encoder.group
        return ((sample["net_input"]["src_lengths"] + group - 1) // group).double()

    def _max_len(self, sample: dict) -> Tensor:
        """Return B maximum output lengths, without </s>."""
        limit = self.options.max_len_a * self._source_lengths(sample) + self.options.max_len_b
        return limit.long().clamp(1, self.max_positions)

    def _encode(self, source: Tensor, lengths: Tensor) -> list[Memory]:
        """Return each model's memory, in the dtype of its decoder."""
        if self.encoder_dtype == torch.float32:
            return [model.encode(source, lengths) for model in self.models]
        memories = []
        for model in self.models:
            with torch.autocast(source.device.type, self.encoder_dtype):
                memory = model.encode(source, lengths)
            dtype = next(model.decoder.parameters()).dtype
            memories.append(Memory._make(f.to(dtype) if f is not None and f.is_floating_point() else f for f in memory))
        return memories

    def _step(self, state: BeamState) -> tuple[Tensor, Tensor | None]:
        """Step every model; return log-probabilities n x K x V, and attention n x K x S if the options require it."""
        states, scores, attention = [], [], []
        shape, last = state.tokens.shape[:2], state.tokens[:, :, -1].flatten()
        if state.vocabulary is not None:
            last = state.vocabulary[last]
        parts = zip(self.models, state.generators, state.decoder_states, state.memories, strict=True)
        for model, generator, decoder_state, memory in parts:
            embedded, cached = model.decoder.embedding(last), model.decoder.cached_input_gates
            gates = None if cached is None else F.embedding(last, cached)
            decoder_state, features, weights = model.decoder.rnn.step(embedded, decoder_state, memory, gates)
            logits = generator(features, weights, memory).float()
            if self.options.temperature != 1:
                logits = logits / self.options.temperature
            states.append(decoder_state)
            scores.append(logits.log_softmax(-1))
            attention.append(weights)
        state.decoder_states = states
        mean = scores[0] if len(scores) == 1 else torch.stack(scores).logsumexp(0) - math.log(len(scores))
        mean = mean.unflatten(0, shape)
        if not self.options.needs_attention:
            return mean, None
        return mean, torch.stack(attention).mean(0).float().unflatten(0, shape)

    def finalize(self, hypotheses: list[Finished], memory_length: int) -> list[dict]:
        """Return the best hypotheses of a sentence in fairseq's format, best first."""
        options, scored = self.options, []
        for tokens, token_logprobs, total, attention in hypotheses:
            score = options.score(total, len(tokens))
            if attention is not None:
                attention = attention[:, :memory_length]  # T x S
                if options.coverage_penalty:
                    score += options.coverage_penalty * attention.sum(0).clamp(1e-30, 1).log().sum().item()
            scored.append((tokens, score, token_logprobs, attention))
        best = sorted(scored, key=lambda hypothesis: -hypothesis[1])[: options.beam]
        return [to_fairseq(*hypothesis, options) for hypothesis in best]
