"""What is left to fairseq's own search, and what is refused because nobody would do it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models.transformer import TransformerConfig, TransformerModel
from fairseq.sequence_generator import SequenceGenerator
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.diverse import DiverseBeamSearch
from s2s_plugin.search.mbr import MinimumBayesRisk
from s2s_plugin.search.options import FAIRSEQ_DEFAULTS, UNSUPPORTED
from s2s_plugin.search.scorer import ReferenceScorer
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig
from tests.search.conftest import alone, dictionary_of, next_scores


@pytest.fixture
def task(tmp_path):
    """``task(mbr="chrf", ...)``: a task with options of its own."""

    def task(**options) -> Seq2SeqTask:
        cfg = Seq2SeqTaskConfig(data=str(tmp_path), seed=1, **options)
        return Seq2SeqTask(cfg, dictionary_of(14), dictionary_of(12))

    return task


@pytest.fixture
def transformer(task) -> TransformerModel:
    torch.manual_seed(1)
    cfg = OmegaConf.structured(TransformerConfig)
    for side in (cfg.encoder, cfg.decoder):
        side.embed_dim, side.ffn_embed_dim, side.layers, side.attention_heads = 8, 8, 1, 2
    cfg.decoder.input_dim = cfg.decoder.output_dim = 8
    cfg.max_source_positions = cfg.max_target_positions = 50
    return TransformerModel.build_model(TransformerConfig.from_namespace(cfg), task()).eval()


def options(**changed) -> SimpleNamespace:
    """fairseq's, with its defaults."""
    return SimpleNamespace(**(FAIRSEQ_DEFAULTS | {"max_len_b": 8} | changed))


# ------------------------------------------------------------ who searches


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, BeamSearch),
        ({"beam": 4, "diverse_beam_groups": 2}, DiverseBeamSearch),
        ({"constraints": "ordered"}, BeamSearch),
        ({"score_reference": True}, ReferenceScorer),
        ({"match_source_len": True}, SequenceGenerator),
        ({"diversity_rate": 0.5}, SequenceGenerator),
    ],
)
def test_who_searches(build, batch, task, changed, kind):
    model = build(12)
    search = task().build_generator([model], options(**changed), extra_gen_cls_kwargs={})
    assert type(search) is kind
    if kind is SequenceGenerator:
        assert all(search.generate([model], batch([4, 6])))


def test_the_risk_goes_with_any_search(build, batch, task):
    model = build(12)
    for changed in ({}, {"diversity_rate": 0.5}, {"beam": 4, "diverse_beam_groups": 2}):
        search = task(mbr="chrf").build_generator([model], options(**changed), extra_gen_cls_kwargs={})
        assert type(search) is MinimumBayesRisk
        for found in search.generate([model], batch([4, 6])):
            utilities = [each["expected_utility"] for each in found]
            assert utilities == sorted(utilities, reverse=True)


def test_prefixes_that_a_function_allows(build, batch, task):
    """Of the Python interface: fairseq's own search."""
    model, allowed = build(12), [2, 5, 6]
    search = task().build_generator(
        [model], options(), extra_gen_cls_kwargs={}, prefix_allowed_tokens_fn=lambda sentence, written: allowed
    )
    for found in search.generate([model], batch([4, 6])):
        assert all(set(each["tokens"].tolist()) <= set(allowed) for each in found)


# -------------------------------------------------- ensembles with others


def test_an_ensemble_with_a_transformer_averages_probabilities(build, batch, task, transformer):
    model, sample = build(12, seed=3, peak=1), batch([6, 4])
    search = task().build_generator([model, transformer], options(beam=3, nbest=3), extra_gen_cls_kwargs={})
    assert type(search) is SequenceGenerator
    for row, found in enumerate(search.generate([model, transformer], sample)):
        for each in found:
            tokens, expected = each["tokens"].tolist(), []
            for t, symbol in enumerate(tokens):
                scores = [next_scores(m, alone(sample, row), tokens[:t])[symbol] for m in (model, transformer)]
                expected.append(float(torch.stack(scores).exp().mean().log()))
            assert each["positional_scores"].tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("diversity_rate", [-1.0, 0.5])
def test_fairseqs_own_search_blocks_ngrams_for_once(build, batch, task, transformer, size, diversity_rate):
    model, sample = build(12, seed=3, end=-20), batch([6, 4])
    models = [model, transformer] if diversity_rate < 0 else [model]

    def repeats(blocked: int) -> list[bool]:
        changed = options(beam=3, max_len_b=14, no_repeat_ngram_size=blocked, diversity_rate=diversity_rate)
        search = task().build_generator(models, changed, extra_gen_cls_kwargs={})
        assert type(search) is SequenceGenerator
        words = [each["tokens"].tolist() for found in search.generate(models, sample) for each in found]
        grams = [[tuple(line[i : i + size]) for i in range(len(line) - size + 1)] for line in words]
        return [len(set(each)) < len(each) for each in grams]

    assert any(repeats(0))
    assert not any(repeats(size))


# --------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_refuses_what_would_do_nothing(build, task, name):
    value = {bool: True, type(None): "x"}.get(type(FAIRSEQ_DEFAULTS[name]), 7)
    with pytest.raises(UserError, match=rf"generation\.{name} \(--{name.replace('_', '-')}\) "):
        task().build_generator([build(12)], options(**{name: value}), extra_gen_cls_kwargs={})


@pytest.mark.parametrize(
    ("changed", "own", "reason"),
    [
        ({"nbest": 6}, {}, r"generation.nbest \(--nbest\) must be at most generation.beam=5, got 6"),
        ({"lm_path": "lm.pt"}, {}, r"generation.lm_path \(--lm-path\) requires generation.lm_weight"),
        ({"lm_weight": 0.3}, {}, r"generation.lm_path \(--lm-path\) requires generation.lm_weight"),
        ({"diversity_rate": 0.5}, {"repetition_penalty": 1.2}, "task.repetition_penalty=1.2"),
        ({"match_source_len": True}, {"search_precision": "int8"}, "task.search_precision=int8"),
        ({"diversity_rate": 0.5, "replace_unk": ""}, {}, r"generation.replace_unk \(--replace-unk\)"),
        ({"print_alignment": "hard", "replace_unk": ""}, {}, "mutually exclusive"),
        ({"sampling": True}, {"search_patience": 2.0}, "search_patience=1"),
        ({"beam": 5, "diverse_beam_groups": 2}, {}, "multiple of"),
    ],
)
def test_refuses_with_a_reason(build, task, changed, own, reason):
    with pytest.raises(UserError, match=reason):
        task(**own).build_generator([build(12)], options(**changed), extra_gen_cls_kwargs={})


@pytest.mark.parametrize(
    "changed", [{"prefix_size": 2}, {"lm_path": "lm.pt", "lm_weight": 0.2}, {"print_alignment": "soft"}]
)
def test_refuses_where_lines_come_one_by_one(build, task, changed):
    with pytest.raises(UserError, match="fairseq-generate"):
        task().build_generator([build(12)], options(**changed))


def test_every_default_is_accepted(build, task):
    for config in (GenerationConfig(), OmegaConf.structured(GenerationConfig), SimpleNamespace()):
        for besides in ({}, None):
            assert type(task().build_generator([build(12)], config, extra_gen_cls_kwargs=besides)) is BeamSearch
