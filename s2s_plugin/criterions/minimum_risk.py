"""Minimum-risk training: make samples of the model more likely, the higher their reward."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.dataclass import ChoiceEnum
from fairseq.logging import metrics
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.criterions.cross_entropy import Seq2SeqCriterion, Seq2SeqCriterionConfig
from s2s_plugin.criterions.sampling import sample_targets, without_dropout
from s2s_plugin.errors import UserError
from s2s_plugin.scoring.rewards import REWARDS, build_reward
from s2s_plugin.utils.options import option

MAX_LEN_A, MAX_LEN_B = 1.5, 10  # maximum length of a sample for a reference Y: a * |Y| + b tokens


@dataclass
class MinimumRiskConfig(Seq2SeqCriterionConfig):
    """Options of ``s2s_minimum_risk``."""

    reward: ChoiceEnum(list(REWARDS)) = option(  # type: ignore[valid-type]
        "chrf", "reward of a sentence; error rates count as 1 - rate"
    )
    samples: int = option(4, "number of samples for each source")
    baseline: ChoiceEnum(["mean", "greedy"]) = option(  # type: ignore[valid-type]
        "mean", "baseline of the reward: mean of the other samples, or the greedy output's reward"
    )
    mle_weight: float = option(0.1, "weight of the cross entropy, in [0, 1)")


@register_criterion("s2s_minimum_risk", dataclass=MinimumRiskConfig)
class MinimumRiskCriterion(FairseqCriterion):
    """(1 - w) * risk + w * cross entropy, summed over the batch; the risk is that of samples Y' from P(Y|X).

    Its gradient is the policy gradient with a baseline (Williams 1992), for K samples of each source

        1/K sum_k (b_k - R(Y'_k)) grad log P(Y'_k | X),

    an unbiased estimate of grad E[1 - R(Y')], the expected risk of Shen et al. 2016, who renormalize P over the samples
    instead. Baseline b_k: mean reward of the other samples (Kool et al. 2019), or reward of the greedy output (Rennie
    et al. 2017). Samples are drawn and scored without dropout, from the very P that is differentiated. The cross
    entropy, with all options of ``s2s_cross_entropy``, uses dropout.

    Meant for fine-tuning with a small learning rate. ``loss`` and ``nll_loss`` in the log are the cross entropy's;
    ``reward`` is the samples' mean, ``baseline`` the greedy outputs' if that baseline is used.
    """

    def __init__(self, task, cfg: MinimumRiskConfig):
        super().__init__(task)
        minimum = 2 if cfg.baseline == "mean" else 1
        if cfg.samples < minimum:
            rule = f"at least {minimum} with criterion.baseline={cfg.baseline}"
            raise UserError(f"criterion.samples must be {rule}, got {cfg.samples}")
        if not 0 <= cfg.mle_weight < 1:
            raise UserError(f"criterion.mle_weight must be in [0, 1), got {cfg.mle_weight}")
        if cfg.ignore_prefix_size:
            raise UserError("criterion.ignore_prefix_size and s2s_minimum_risk are mutually exclusive")
        self.cross_entropy = Seq2SeqCriterion(task, cfg)
        self.reward = build_reward(str(cfg.reward), task.cfg.eval_tokenizer)
        self.samples, self.mle_weight = cfg.samples, cfg.mle_weight
        self.greedy_baseline = cfg.baseline == "greedy"
        self.eos = task.target_dictionary.eos()

    def set_num_updates(self, updates: int) -> None:
        self.cross_entropy.set_num_updates(updates)

    def forward(self, model, sample, reduce=True):
        """Return the loss, the sample size (its denominator) and fairseq's logging output."""
        with nullcontext() if self.mle_weight else torch.no_grad():
            loss, sample_size, logging_output = self.cross_entropy(model, sample, reduce)
        if not model.training:
            return loss, sample_size, logging_output
        if not hasattr(model.decoder, "rnn"):
            raise UserError("criterion s2s_minimum_risk requires a model of the architecture s2s")
        risk, rewards, baselines = self.risk(model, sample["net_input"], sample["target"])
        logging_output["reward"] = rewards.mean(1).sum()
        if self.greedy_baseline:  # the other baseline has the same mean as the samples
            logging_output["baseline"] = baselines.mean(1).sum()
        return (1 - self.mle_weight) * risk + self.mle_weight * loss, sample_size, logging_output

    def risk(self, model, inputs: dict, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a loss with the risk's gradient; rewards and baselines, B x K each, for the targets B x T."""
        max_lens = MAX_LEN_A * target.ne(self.padding_idx).sum(1) + MAX_LEN_B
        max_lens = max_lens.long().clamp(max=model.max_decoder_positions())

        def sample(copies: int, choose) -> Tensor:
            return sample_targets(model, inputs, max_lens, copies, choose, self.eos, self.padding_idx)

        with without_dropout(model):
            samples = sample(self.samples, self.draw)  # N x T
            rewards = self.rewards(samples, target)  # B x K
            if self.greedy_baseline:
                baselines = self.rewards(sample(1, self.greedy), target).expand_as(rewards)
            else:
                baselines = (rewards.sum(1, keepdim=True) - rewards) / (self.samples - 1)
            nll = self.nll(model, inputs, samples)  # N
        return ((rewards - baselines).flatten() * nll).sum() / self.samples, rewards, baselines

    def nll(self, model, inputs: dict, samples: Tensor) -> Tensor:
        """Return -log P(Y' | X), N, of samples N x T, those of an item adjacent."""
        previous = torch.cat((torch.full_like(samples[:, :1], self.eos), samples[:, :-1]), 1)
        logits, _ = model(**{**inputs, "prev_output_tokens": previous})
        logits = self.without_padding(logits).transpose(1, 2)  # N x V x T
        return F.cross_entropy(logits, samples, ignore_index=self.padding_idx, reduction="none").sum(1)

    def rewards(self, samples: Tensor, target: Tensor) -> Tensor:
        """Return the rewards, B x K, of B * K samples for B references."""
        references = [self.task.text.reference(reference) for reference in target]
        copies = len(samples) // len(references)
        reward = cache(self.reward)  # a confident model repeats its samples
        rewards = [reward(self.task.text(sample), references[row // copies]) for row, sample in enumerate(samples)]
        return torch.tensor(rewards, device=samples.device).view(-1, copies)

    def draw(self, logits: Tensor) -> Tensor:
        """Sample a token from each of N rows of logits."""
        return torch.multinomial(self.without_padding(logits).softmax(1), 1).squeeze(1)

    def greedy(self, logits: Tensor) -> Tensor:
        """Return the most likely token of each of N rows of logits."""
        return self.without_padding(logits).argmax(1)

    def without_padding(self, logits: Tensor) -> Tensor:
        """Exclude padding from logits ... x V."""
        padding = torch.tensor([self.padding_idx], device=logits.device)
        return logits.float().index_fill(-1, padding, float("-inf"))

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """Log means over a token (losses) and over a sentence (rewards) of the workers' sums."""
        LabelSmoothedCrossEntropyCriterion.reduce_metrics(logging_outputs)
        sentences = sum(log.get("nsentences", 0) for log in logging_outputs)
        for name in ("reward", "baseline"):
            if sums := [log[name] for log in logging_outputs if name in log]:
                metrics.log_scalar(name, sum(sums) / sentences, sentences, round=4)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
