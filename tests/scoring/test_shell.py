"""Scorers of commands: BLEU over characters against its definition, and what a template is made of."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from fairseq.scoring import build_scorer

from s2s_plugin.scoring.shell import character_bleu, template, template_match

COMMANDS = [
    "find . -name '*.txt'",
    "find / -name core -delete",
    "ls -la | grep foo",
    "cat a  b",
    "ls",
    "tar -xzf archive.tgz -C /tmp",
]


def bleu_by_definition(hypothesis: str, references: list[str]) -> float:
    """Papineni et al. 2002 over characters, one sentence, without smoothing; as a share of 1."""
    logs = []
    for n in range(1, 5):
        grams = Counter(hypothesis[i : i + n] for i in range(len(hypothesis) - n + 1))
        most: Counter[str] = Counter()
        for reference in references:
            most |= Counter(reference[i : i + n] for i in range(len(reference) - n + 1))
        right = sum(min(count, most[gram]) for gram, count in grams.items())
        if not right:
            return 0.0
        logs.append(math.log(right / grams.total()))
    closest = min((abs(len(text) - len(hypothesis)), len(text)) for text in references)[1]
    return min(1.0, math.exp(1 - closest / len(hypothesis))) * math.exp(sum(logs) / 4)


def test_character_bleu_is_its_definition():
    for hypothesis in COMMANDS:
        for reference in COMMANDS:
            for references in ([reference], [reference, "ls -l", "find"]):
                expected = 100 * bleu_by_definition(hypothesis, references)
                assert character_bleu(hypothesis, references) == pytest.approx(expected, abs=1e-9)
    assert character_bleu("", ["ls -l"]) == 0
    assert character_bleu("a\tbcd", ["a bcd"]) < 100 == pytest.approx(character_bleu("a\tbcd", ["a\tbcd"]))


@pytest.mark.parametrize(
    "command, parts",
    [
        ("find . -name '*.txt' -exec rm -f {} \\;", ["find", "find -name", "find -exec", "rm", "rm -f", "\\;"]),
        (
            "find . -type f -exec chmod 644 {} + -print",
            ["find", "find -type", "find -exec", "chmod", "+", "find -print"],
        ),
        ("find . \\( -name a -o ! -name b \\)", ["find", "\\(", "find -name", "-or", "!", "find -name", "\\)"]),
        ("tar -xvzf a.tgz", ["tar", "tar -x", "tar -v", "tar -z", "tar -f"]),
        ("head -n10 f", ["head", "head -n"]),
        ("head -10 f", ["head", "head -"]),
        ("rsync --exclude=foo a b", ["rsync", "rsync --exclude"]),
        ("cat `which ls`", ["cat", "$(", "which", ")"]),
        ("cd $(dirname a) && ls", ["cd", "$(", "dirname", ")", "&&", "ls"]),
        ('size="$(zcat "$f" | wc -c)"', ["$(", "zcat", "|", "wc", "wc -c", ")"]),
        ('echo "in `pwd`" -n', ["echo", "$(", "pwd", ")", "echo -n"]),
        ("diff <(sort a) <(sort b)", ["diff", "<(", "sort", ")", "<(", "sort", ")"]),
        ("A=1 sudo /usr/bin/make -j 4 | tee log", ["sudo", "make", "make -j", "|", "tee"]),
        ("find . | xargs -I {} grep -l 'a | b'", ["find", "|", "xargs", "xargs -I", "grep", "grep -l"]),
        ("for i in *; do echo $i; done", ["for", ";", "do", "echo", ";", "done"]),
    ],
)
def test_template_has_no_arguments(command, parts):
    assert list(template(command)) == parts


@pytest.mark.parametrize(
    "broken", ["", "'", '"$(', "a `b", ") )", "\\", "find . -exec", "| | ;;", "$(" * 500, '"' + "$(`)" * 500 + "\\"]
)
def test_what_is_no_command_has_a_template_too(broken):
    list(template(broken))
    assert 0 <= template_match(broken, "ls -l") < 1


def test_template_match_is_a_cosine():
    assert template_match("ls -l a", "ls b -l") == pytest.approx(1)
    assert template_match("ls -la", "ls -l -a") == pytest.approx(1)
    assert template_match("ls", "ls -l") == pytest.approx(1 / math.sqrt(2))
    assert template_match("ls", "cat a") == 0
    assert template_match("find . -name a -name b", "find . -name c") == pytest.approx(3 / math.sqrt(5 * 2))


def test_scorers_average_items_and_take_the_best_reference():
    hypotheses = ["ls -l", "cat a"]
    references = [["ls -l", "ls"], ["grep a"]]
    for name, expected in (("s2s_char_bleu", 50), ("s2s_template", 50)):
        scorer = build_scorer(name, None)
        for reference, hypothesis in zip(references, hypotheses, strict=True):
            scorer.add_string(reference, hypothesis)
        score, signature = scorer.evaluate()
        assert score == pytest.approx(expected)
        assert signature.endswith("refs:var")
        assert scorer.result_string().startswith(f"{scorer.label} = 50.00 ")
        assert scorer.higher_is_better
