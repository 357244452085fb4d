"""Scores of given targets against teacher forcing, written out."""

from __future__ import annotations

import pytest
import torch
from fairseq import utils
from fairseq.data import data_utils
from fairseq.sequence_scorer import SequenceScorer
from torch.testing import assert_close

from s2s_plugin.errors import UserError
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.search.scorer import ReferenceScorer
from tests.search.conftest import alone, next_scores

PAD, EOS, UNK = 1, 2, 3
TARGETS = [[5, 6, 7, EOS], [4, EOS], [8, 8, 3, 4, 5, EOS]]


@pytest.fixture
def pairs(batch):
    targets = [torch.tensor(target) for target in TARGETS]
    sample = batch([4, 9, 2])
    sample["target"] = data_utils.collate_tokens(targets, PAD)
    previous = data_utils.collate_tokens(targets, PAD, EOS, move_eos_to_beginning=True)
    sample["net_input"]["prev_output_tokens"] = previous
    return sample


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("options", [{}, {"pointer": True}])
def test_equals_teacher_forcing_and_stock_fairseq(build, pairs, count, options):
    models = [build(12, seed=seed, **options) for seed in range(count)]
    found = ReferenceScorer(models[0].decoder.dictionary, BeamOptions(print_alignment="hard")).generate(models, pairs)
    stock = SequenceScorer(models[0].decoder.dictionary).generate(models, pairs)
    for row, target in enumerate(TARGETS):
        ((mine,), (other,)) = found[row], stock[row]
        expected = []
        for t, token in enumerate(target):
            each = [next_scores(model, alone(pairs, row), target[:t])[token].exp() for model in models]
            expected.append(float(torch.stack(each).mean().log()))
        assert mine["tokens"].tolist() == target
        assert mine["positional_scores"].tolist() == pytest.approx(expected, abs=1e-4)
        assert float(mine["score"]) == pytest.approx(sum(expected) / len(expected), abs=1e-4)
        assert_close(mine["positional_scores"], other["positional_scores"], rtol=0, atol=1e-4)
        length = int(pairs["net_input"]["src_lengths"][row])
        assert mine["attention"].shape == (length, len(target))
        assert [pair[1] for pair in mine["alignment"]] == list(range(len(target) - 1))


def test_unknown_words_of_a_reference_become_those_that_were_read(build, pairs):
    """Where --replace-unk is asked for: fairseq looks each up by its number in the alignment."""
    model = build(12)
    found = ReferenceScorer(model.decoder.dictionary, BeamOptions(replace_unk="")).generate([model], pairs)
    for row, target in enumerate(TARGETS):
        (mine,) = found[row]
        words = [f"word{place}" for place in range(int(pairs["net_input"]["src_lengths"][row]) - 1)]
        read = [words[place] for place in mine["attention"][:-1].argmax(0).tolist()]
        _, text, _ = utils.post_process_prediction(
            mine["tokens"], " ".join(words), mine["alignment"], {}, model.decoder.dictionary
        )
        expected = [read[place] if token == UNK else f"w{token}" for place, token in enumerate(target[:-1])]
        assert text.split() == expected


def test_models_that_attend_to_different_steps_score_together_unless_their_attention_is_asked_for(build, pairs):
    models = [build(12), build(12, encoder_layers=2, encoder_pyramid=1)]
    both = ReferenceScorer(models[0].decoder.dictionary, BeamOptions()).generate(models, pairs)
    each = [ReferenceScorer(model.decoder.dictionary, BeamOptions()).generate([model], pairs) for model in models]
    for row in range(len(TARGETS)):
        apart = torch.stack([found[row][0]["positional_scores"].exp() for found in each])
        assert_close(both[row][0]["positional_scores"].exp(), apart.mean(0))
        assert both[row][0]["attention"] is None and both[row][0]["alignment"] == []


def test_refuses_lines_without_targets(build, batch):
    model = build(12)
    with pytest.raises(UserError, match="fairseq-generate"):
        ReferenceScorer(model.decoder.dictionary, BeamOptions()).generate([model], batch([4]))
