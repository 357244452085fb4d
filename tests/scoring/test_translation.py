"""sacrebleu behind fairseq's interface: one reference or several, orders of BLEU, options from the command line."""

from __future__ import annotations

import math
import random

import pytest
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.scoring import SCORER_REGISTRY, build_scorer
from omegaconf import OmegaConf
from sacrebleu.metrics import BLEU, CHRF, TER

import s2s_plugin
from s2s_plugin.errors import UserError

OURS = sorted(name for name, thing in SCORER_REGISTRY.items() if thing.__module__.startswith(s2s_plugin.__name__))
DIRECT = {
    "s2s_bleu": BLEU(),
    "s2s_bleu1": BLEU(max_ngram_order=1),
    "s2s_bleu2": BLEU(max_ngram_order=2),
    "s2s_bleu3": BLEU(max_ngram_order=3),
    "s2s_chrf": CHRF(),
    "s2s_ter": TER(),
}
LABELS = {
    "s2s_bleu": "BLEU",
    "s2s_bleu1": "BLEU-1",
    "s2s_bleu2": "BLEU-2",
    "s2s_bleu3": "BLEU-3",
    "s2s_chrf": "chrF2",
    "s2s_ter": "TER",
    "s2s_wer": "WER",
    "s2s_cer": "CER",
    "s2s_per": "PER",
    "s2s_g2p_wer": "WER",
    "s2s_exact": "exact",
    "s2s_cider": "CIDEr-D",
    "s2s_char_bleu": "char-BLEU",
    "s2s_template": "template",
    "s2s_rouge1": "ROUGE-1",
    "s2s_rouge2": "ROUGE-2",
    "s2s_rougel": "ROUGE-L",
    "s2s_distinct1": "distinct-1",
    "s2s_distinct2": "distinct-2",
    "s2s_reply_length": "length",
}
WITHOUT_REFERENCE = ("s2s_distinct1", "s2s_distinct2", "s2s_reply_length")
ERROR_RATES = ("s2s_ter", "s2s_wer", "s2s_cer", "s2s_per", "s2s_g2p_wer")
HYDRA_WARNS = pytest.mark.filterwarnings("ignore::UserWarning")
Items = list[tuple[str | list[str], str]]


def scorer_of(name: str, items: Items):
    scorer = build_scorer(name, None)
    for reference, hypothesis in items:
        scorer.add_string(reference, hypothesis)
    return scorer


def random_items(seed: int, most_references: int) -> Items:
    """40 items with 1 or ``most_references`` references; about half the words of a hypothesis are right."""
    rng = random.Random(seed)
    words = ["A", "a", "dog", "cat", "man,", "woman", "runs", "sits", "in", "on", "the", "Park.", "snow", "red"]
    items: Items = []
    for _ in range(40):
        count = rng.choice((1, most_references))
        references = [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(count)]
        kept = [word if rng.random() < 0.6 else rng.choice(words) for word in rng.choice(references).split()]
        items.append((references, " ".join(kept)))
    return items


def test_every_scorer_is_tested():
    assert set(LABELS) == set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_label_and_direction(name):
    assert SCORER_REGISTRY[name].label == LABELS[name]
    better = None if name == "s2s_reply_length" else name not in ERROR_RATES
    assert SCORER_REGISTRY[name].higher_is_better is better


@pytest.mark.parametrize("name", [name for name in OURS if name not in WITHOUT_REFERENCE])
def test_perfect_output(name):
    sentences = ["A dog runs in the snow.", "Two red cats sit on a chair.", "It's raining men again today."]
    perfect = 0 if name in ERROR_RATES else 1000 if name == "s2s_cider" else 100
    for references in ([[text] for text in sentences], sentences):
        assert scorer_of(name, list(zip(references, sentences, strict=True))).score() == pytest.approx(perfect)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("most_references", [1, 4])
def test_order_of_the_items_does_not_matter(name, most_references):
    items = random_items(1, most_references)
    score, signature = scorer_of(name, items).evaluate()
    shuffled = random.Random(2).sample(items, len(items))
    assert scorer_of(name, shuffled).evaluate() == (pytest.approx(score, rel=1e-9), signature)
    half = scorer_of(name, items[:20]).score()
    assert half != pytest.approx(score)  # these items do tell scores apart


@pytest.mark.parametrize("name", OURS)
def test_order_of_the_references_does_not_matter(name):
    items = random_items(3, 4)
    turned = [(references[::-1], hypothesis) for references, hypothesis in items]
    assert scorer_of(name, turned).score() == pytest.approx(scorer_of(name, items).score(), rel=1e-9)


@pytest.mark.parametrize("name", OURS)
def test_result_string_holds_label_score_and_signature(name):
    scorer = scorer_of(name, random_items(4, 2))
    score, signature = scorer.evaluate()
    assert scorer.result_string().startswith(f"{scorer.label} = {score:.2f} ")
    assert scorer.result_string().endswith(f" {signature}")
    assert "refs:var" in signature


@pytest.mark.parametrize("name", OURS)
def test_an_item_needs_a_reference(name):
    scorer = scorer_of(name, [("a", "a")])
    with pytest.raises(UserError, match="item 2 has no reference"):
        scorer.add_string([], "a")


@pytest.mark.parametrize("name", DIRECT)
def test_single_reference_equals_sacrebleu(name):
    items = random_items(5, 1)
    direct = DIRECT[name].corpus_score([hypothesis for _, hypothesis in items], [[refs[0] for refs, _ in items]])
    assert 0 < direct.score < 100
    assert scorer_of(name, items).score() == direct.score
    assert scorer_of(name, [(refs[0], hypothesis) for refs, hypothesis in items]).score() == direct.score


@pytest.mark.parametrize("name", DIRECT)
def test_fewer_references_equal_sacrebleu_with_repeated_ones(name):
    """None of these metrics counts how often a reference is given."""
    items = random_items(6, 3)
    streams = [[refs[number % len(refs)] for refs, _ in items] for number in range(3)]
    direct = DIRECT[name].corpus_score([hypothesis for _, hypothesis in items], streams)
    assert {len(refs) for refs, _ in items} == {1, 3}
    assert scorer_of(name, items).score() == pytest.approx(direct.score)


@pytest.mark.parametrize(("name", "score"), [("s2s_bleu1", 100 * math.exp(-2 / 3)), ("s2s_ter", 40)])
def test_a_missing_reference_is_not_an_empty_one(name, score):
    """An empty one would be the closest in length to "a", and the fewest edits away."""
    items: Items = [("a b c", "a"), (["d e", "d e", "d e"], "d e")]
    assert scorer_of(name, items).score() == pytest.approx(score)


def test_signature_names_the_order():
    items = random_items(7, 1)
    signatures = [scorer_of(f"s2s_bleu{order}", items).evaluate()[1] for order in ("", 1, 2, 3)]
    assert "order" not in signatures[0]
    assert ["|order:1|" in signatures[1], "|order:2|" in signatures[2], "|order:3|" in signatures[3]] == [True] * 3
    assert signatures[1].replace("order:1|", "") == signatures[0]


def by_command_line(*words: str):
    parser = options.get_generation_parser()
    args = options.parse_args_and_arch(parser, ["data", "--path", "model.pt", "--scoring", *words])
    return build_scorer(convert_namespace_to_omegaconf(args).scoring, None)


@HYDRA_WARNS
@pytest.mark.usefixtures("old_hydra")
@pytest.mark.parametrize("name", OURS)
def test_fairseq_generate_builds_it_with_its_defaults(name):
    """Also: no option of ours clashes with one of fairseq-generate."""
    items = random_items(8, 2)
    scorer = by_command_line(name)
    for item in items:
        scorer.add_string(*item)
    assert scorer.evaluate() == scorer_of(name, items).evaluate()


@HYDRA_WARNS
@pytest.mark.usefixtures("old_hydra")
@pytest.mark.parametrize(
    ("name", "option", "value", "signature"),
    [
        ("s2s_bleu", "sacrebleu_tokenizer", "char", "tok:char"),
        ("s2s_bleu2", "sacrebleu_tokenizer", "char", "tok:char"),
        ("s2s_wer", "wer_normalizer", "none", "norm:none"),
        ("s2s_cer", "wer_normalizer", "none", "norm:none"),
        ("s2s_exact", "exact_normalizer", "none", "norm:none"),
        ("s2s_rougel", "rouge_tokenizer", "unicode", "tok:unicode"),
    ],
)
def test_options_reach_the_scorer(name, option, value, signature):
    by_words = by_command_line(name, f"--{option.replace('_', '-')}", value)
    by_config = build_scorer(OmegaConf.create({"_name": name, option: value}), None)
    for scorer in (by_words, by_config):
        scorer.add_string("A dog.", "a dog")
        assert signature in scorer.evaluate()[1]
