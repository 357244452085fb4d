"""NL2Bash's metrics of shell commands: character BLEU and template match."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer
from sacrebleu.metrics import BLEU

from s2s_plugin.scoring.base import MeanScorer

# Operators, and words with their quotes; a substitution opens like a parenthesis. The end of the text closes all.
TOKEN = re.compile(
    r"""(?P<open>\$\(|[<>]\(|`|\()|(?P<close>\))|(?P<next>\|\||&&|;;|\|&|[|;&\n])|(?P<redirect>\d*(?:&>|[<>])[<>&|]*)"""
    r"""|(?P<word>(?:\\(?:.|\Z)|'[^']*+(?:'|\Z)|"(?:\\(?:.|\Z)|\$\([^()]*\)|`[^`]*`|[^"\\])*+(?:"|\Z)"""
    r"""|\$(?!\()|[^\s\\'"`|;&()<>$])++)""",
    re.DOTALL,
)
QUOTED = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")  # a substitution in double quotes
BUNDLE = re.compile(r"-([A-Za-z]+)")
NO_PROGRAM = re.compile(r"\w+\+?=|\{\}|\d+$")  # an assignment, or an argument of a program that runs another
KEYWORDS = {"do", "then", "else", "elif", "if", "while", "until", "{", "!"}  # before a command
RUNNERS = {"sudo", "xargs", "time", "nohup", "nice", "env", "exec", "eval", "watch"}  # programs that run another
EXECUTE = {"-exec", "-execdir", "-ok", "-okdir"}
OPERATORS_OF_FIND = {"\\(": "\\(", "\\)": "\\)", "!": "!", "\\!": "!", "-o": "-or", "-a": "-and"}
END_OF_EXECUTE = {"\\;": "\\;", "';'": "\\;", "+": "+"}


def template(command: str) -> Iterator[str]:
    """Yield the parts of a command's template: names of programs, flags and operators, without arguments.

    Combined flags are separated, ``-la`` is ``-l -a``; values attached to them are dropped. Any text has a template.
    """
    parser = TemplateParser()
    for match in TOKEN.finditer(command):
        yield from parser.parse(str(match.lastgroup), match[0])


class TemplateParser:
    """State between the tokens of a command."""

    def __init__(self):
        self.program = ""  # whose arguments follow
        self.expect_program = True  # whether the next word may be a program
        self.in_exec = False  # whether a command of find's -exec is open
        self.outer: list[tuple[str, str]] = []  # opening token and outer program of each open parenthesis

    def parse(self, kind: str, token: str) -> Iterable[str]:
        """Return the template parts of the next token; ``kind`` is its group in ``TOKEN``."""
        if kind == "word":
            return self._parse_word(token)
        if kind == "next":
            self.program, self.expect_program, self.in_exec = "", True, False
        elif kind == "close" or (token == "`" and self.outer and self.outer[-1][0] == "`"):
            self.program, self.expect_program = self.outer.pop()[1] if self.outer else "", False
            return [")"]
        elif kind == "open":
            self.outer.append((token, self.program))
            self.program, self.expect_program = "", True
        return ["$(" if token == "`" else token]

    def _parse_word(self, word: str) -> Iterator[str]:
        if word.endswith('"') and (substitutions := QUOTED.findall(word)):
            for inner in map("".join, substitutions):
                yield from ("$(", *template(inner), ")")
            self.expect_program = self.expect_program and NO_PROGRAM.match(word) is not None
        elif self.in_exec and word in END_OF_EXECUTE:
            yield END_OF_EXECUTE[word]
            self.program, self.expect_program, self.in_exec = "find", False, False
        elif flags := _flags(word, self.program):
            yield from flags
            if self.program == "find" and word in EXECUTE:
                self.expect_program = self.in_exec = True
        elif self.expect_program and word in KEYWORDS:
            yield word
        elif self.expect_program and not NO_PROGRAM.match(word):
            self.program = word.rsplit("/", 1)[-1]
            self.expect_program = self.program in RUNNERS
            yield self.program


def _flags(word: str, program: str) -> list[str]:
    """Return a word's flags, each with its program, or the operator; none if it is an argument."""
    if program == "find" and word in OPERATORS_OF_FIND:
        return [OPERATORS_OF_FIND[word]]
    if not program or not word.startswith("-"):
        return []
    if word.startswith("--"):
        return [f"{program} {word.partition('=')[0]}"]
    bundle = BUNDLE.match(word)
    if program == "find":
        return [f"find {word}"] if bundle else []
    if bundle:
        return [f"{program} -{letter}" for letter in bundle[1]]
    return [f"{program} -"] if word[1:2].isdigit() else []


def template_match(hypothesis: str, reference: str) -> float:
    """Return the cosine of the counts of both templates' parts, 0 to 1 (Lin et al. 2018, appendix C)."""
    left, right = Counter(template(hypothesis)), Counter(template(reference))
    product = sum(count * right[part] for part, count in left.items())
    norms = math.hypot(*left.values()) * math.hypot(*right.values())
    return product / norms if norms else 0.0


def character_bleu(hypothesis: str, references: list[str]) -> float:
    """Return the BLEU of one text over its characters, spaces included, 0 to 100; 0 without a common 4-gram."""

    def spaced(text: str) -> str:  # white space becomes private-use characters
        return " ".join(chr(0xF0000 + ord(c)) if c.isspace() else c for c in text)

    metric = BLEU(tokenize="none", smooth_method="none")
    return metric.corpus_score([spaced(hypothesis)], [[spaced(text)] for text in references]).score


@register_scorer("s2s_char_bleu", dataclass=FairseqDataclass)
class CharacterBleuScorer(MeanScorer):
    """Mean of the items' BLEU over characters, without smoothing, as NL2Bash's own evaluation computes it.

    Its scale is 0 to 1, ours percent. Of several references the maximum count of each n-gram counts.
    """

    label = "char-BLEU"

    def item_scores(self) -> list[float]:
        return [character_bleu(text, list(item)) for text, item in zip(self.pred, self.ref, strict=True)]

    def settings(self) -> str:
        return f"char-bleu|mean:items|order:4|smooth:none|spaces:yes|tool:sacrebleu-{metadata.version('sacrebleu')}"


@register_scorer("s2s_template", dataclass=FairseqDataclass)
class TemplateScorer(MeanScorer):
    """Mean of the items' template match with the closest reference, in percent.

    NL2Bash's own parser knows the arguments of some hundred programs; :func:`template` has a few rules for all. So
    published numbers are only roughly comparable: the nearest neighbors of its test requests score 64.8, 65.4 there.
    """

    label = "template"

    def item_scores(self) -> list[float]:
        items = zip(self.pred, self.ref, strict=True)
        return [100 * max(template_match(text, reference) for reference in item) for text, item in items]

    def settings(self) -> str:
        return "template|cosine|parts:program+flag+operator|parser:own"
