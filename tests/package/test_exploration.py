"""Forced prefixes of outputs, and what the search for an output has considered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.package.exploration import Exploration

LINES = ["a b c", "d e f g", "h g"]


@pytest.fixture(scope="module")
def model(small_model: Path) -> s2s_plugin.Model:
    return s2s_plugin.load(small_model / "runs/nmt/default")


@pytest.fixture(scope="module")
def explored(model: s2s_plugin.Model) -> Exploration:
    return model.explore("d e f g", nbest=3, beam=4)


@pytest.mark.parametrize("options", [{"beam": 1}, {"beam": 5}, {"sampling": True, "beam": 1}, {"shortlist": 20}])
def test_an_output_goes_on_as_it_began(model: s2s_plugin.Model, options: dict):
    plain = model.outputs(LINES, **options)
    for length in (1, 2, len(plain[0][0].tokens)):
        forced = model.outputs(LINES, prefix=[output.tokens[:length] for (output,) in plain], **options)
        assert [output.tokens for (output,) in forced] == [output.tokens for (output,) in plain]
        assert [output.score for (output,) in forced] == pytest.approx([output.score for (output,) in plain], abs=1e-5)


def test_each_line_has_a_beginning_of_its_own_or_none(model: s2s_plugin.Model):
    tokens = model.outputs(["h g"])[0][0].tokens[:1]
    other, text, plain = model.outputs(LINES, prefix=[tokens, "H B", []])
    assert other[0].tokens[:1] == tokens != model.outputs(LINES)[0][0].tokens[:1]
    assert text[0].text.startswith("H B") and plain[0].text == model.translate("h g")


def test_the_rest_is_searched_given_the_beginning(model: s2s_plugin.Model, explored: Exploration):
    """The probabilities after a forced token are those of the search that had chosen it itself."""
    other = explored.outputs[1]
    (forced,) = model.explore("d e f g", prefix=other.tokens[:-2], beam=1).outputs
    np.testing.assert_allclose(forced.probabilities[:-2], other.probabilities[: len(forced.tokens) - 2], rtol=1e-4)


def test_an_end_can_be_forced(model: s2s_plugin.Model):
    (output,) = model.explore("a b c", prefix=[model.outputs(["a b c"])[0][0].tokens[0], "</s>"]).outputs
    assert len(output.tokens) == 2


@pytest.mark.parametrize("prefix", [["nothing like it"], ["<pad>"], ["</s>", "</s>"], "\u2603", ["a b"]])
def test_beginnings_that_cannot_be(model: s2s_plugin.Model, prefix: str | list[str]):
    with pytest.raises(UserError, match="prefix must"):
        model.outputs(["a b"], prefix=[prefix])


def test_recording_changes_nothing(model: s2s_plugin.Model, explored: Exploration):
    (plain,) = model.outputs(["d e f g"], nbest=3, beam=4, attention=True)
    assert [each.text for each in plain] == [each.text for each in explored.outputs]
    assert [each.score for each in plain] == [each.score for each in explored.outputs]
    np.testing.assert_array_equal(plain[0].attention, explored.outputs[0].attention)


def test_the_lattice_has_all_outputs(explored: Exploration):
    """Each output is a path from the first step to a node that has ended, with its score and probabilities."""
    ended = {}
    for number, step in enumerate(explored.lattice):
        assert all((node.parent is None) == (number == 0) for node in step)
        assert [node.score for node in step] == sorted((node.score for node in step), reverse=True)
        for node in filter(lambda node: node.ended, step):
            path = [node]
            for earlier in reversed(explored.lattice[:number]):
                path.insert(0, earlier[path[0].parent])
            ended[tuple(each.token for each in path)] = path
    for output in explored.outputs:
        path = ended[tuple(output.tokens)]
        assert path[-1].score == pytest.approx(output.score, abs=1e-5)
        assert [node.probability for node in path] == pytest.approx(output.probabilities.tolist(), abs=1e-5)
    best = [[node.token for node in step if node.best] for step in explored.lattice]
    assert [token for tokens in best for token in tokens] == explored.outputs[0].tokens


def test_alternatives_are_the_distribution_at_each_place(explored: Exploration):
    for output, places in zip(explored.outputs, explored.alternatives, strict=True):
        assert len(places) == len(output.tokens)
        for token, probability, likeliest in zip(output.tokens, output.probabilities, places, strict=True):
            assert [each.probability for each in likeliest] == sorted((e.probability for e in likeliest), reverse=True)
            assert sum(each.probability for each in likeliest) < 1 + 1e-5 and len(likeliest) == 8
            known = {each.token: each.probability for each in likeliest}
            assert known.get(token, probability) == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize(
    "options", [{"diverse_beam_groups": 2, "beam": 4}, {"sampling": True, "beam": 3}, {"mbr": "chrf"}]
)
def test_other_searches_are_recorded_too(model: s2s_plugin.Model, options: dict):
    explored = model.explore("d e f g", **options)
    assert explored.alternatives[0] and sum(node.best for step in explored.lattice for node in step) >= len(
        explored.outputs[0].tokens
    )


def test_an_empty_text(model: s2s_plugin.Model):
    explored = model.explore("")
    assert explored.outputs[0].text == "" and explored.lattice == [] and explored.alternatives == [[]]
