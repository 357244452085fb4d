"""What NL2Bash measures of shell commands: BLEU over characters, and how much of a command's template is right."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from importlib import metadata

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import register_scorer
from sacrebleu.metrics import BLEU

from s2s_plugin.scoring.base import MeanScorer

# Operators, and words with their quotes; a substitution opens like a parenthesis. What is left open ends with the text.
TOKEN = re.compile(
    r"""(?P<open>\$\(|[<>]\(|`|\()|(?P<close>\))|(?P<next>\|\||&&|;;|\|&|[|;&\n])|(?P<redirect>\d*(?:&>|[<>])[<>&|]*)"""
    r"""|(?P<word>(?:\\(?:.|\Z)|'[^']*+(?:'|\Z)|"(?:\\(?:.|\Z)|\$\([^()]*\)|`[^`]*`|[^"\\])*+(?:"|\Z)"""
    r"""|\$(?!\()|[^\s\\'"`|;&()<>$])++)""",
    re.DOTALL,
)
QUOTED = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")  # a substitution in double quotes
BUNDLE = re.compile(r"-([A-Za-z]+)")
NO_PROGRAM = re.compile(r"\w+\+?=|\{\}|\d+$")  # an assignment, or an argument of what runs the program
KEYWORDS = {"do", "then", "else", "elif", "if", "while", "until", "{", "!"}  # after which a command begins
RUNNERS = {"sudo", "xargs", "time", "nohup", "nice", "env", "exec", "eval", "watch"}  # programs that run the next one
EXECUTE = {"-exec", "-execdir", "-ok", "-okdir"}
OPERATORS_OF_FIND = {"\\(": "\\(", "\\)": "\\)", "!": "!", "\\!": "!", "-o": "-or", "-a": "-and"}
END_OF_EXECUTE = {"\\;": "\\;", "';'": "\\;", "+": "+"}


def template(command: str) -> Iterator[str]:
    """What a command's template is made of: names of programs, flags and operators, without arguments.

    Flags that are written together are taken apart, ``-la`` is ``-l -a``; values that adhere to them go. Anything is
    read as a command, so a broken one has a template too.
    """
    program, expected, executed, outer = "", True, False, list[tuple[str, str]]()
    for found in TOKEN.finditer(command):
        kind, token = str(found.lastgroup), found[0]
        if token == "`" and outer and outer[-1][0] == "`":
            kind = "close"
        if kind == "open":
            outer.append((token, program))
            yield "$(" if token == "`" else token
            program, expected = "", True
        elif kind == "close":
            program, expected = outer.pop()[1] if outer else "", False
            yield ")"
        elif kind == "next":
            yield token
            program, expected, executed = "", True, False
        elif kind == "redirect":
            yield token
        elif token.endswith('"') and (substitutions := QUOTED.findall(token)):
            for inner in map("".join, substitutions):
                yield from ("$(", *template(inner), ")")
            expected = expected and NO_PROGRAM.match(token) is not None
        elif executed and token in END_OF_EXECUTE:
            yield END_OF_EXECUTE[token]
            program, expected, executed = "find", False, False
        elif flags := _flags(token, program):
            yield from flags
            if program == "find" and token in EXECUTE:
                expected = executed = True
        elif expected and token in KEYWORDS:
            yield token
        elif expected and not NO_PROGRAM.match(token):
            program = token.rsplit("/", 1)[-1]
            expected = program in RUNNERS
            yield program


def _flags(word: str, program: str) -> list[str]:
    """The flags, each with its program, or the operator that a word is; none if it is an argument."""
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
    """Cosine of the counts of what both templates are made of, 0 to 1 (Lin et al. 2018, appendix C)."""
    ours, theirs = Counter(template(hypothesis)), Counter(template(reference))
    product = sum(count * theirs[part] for part, count in ours.items())
    norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    return product / norms if norms else 0.0


def character_bleu(hypothesis: str, references: list[str]) -> float:
    """BLEU of one text over its characters, spaces among them, 0 to 100; 0 where it shares no four in a row."""
    metric = BLEU(tokenize="none", smooth_method="none")
    return metric.corpus_score([_spaced(hypothesis)], [[_spaced(text)] for text in references]).score


def _spaced(text: str) -> str:
    """The characters with spaces between them; white space becomes signs that are none."""
    return " ".join(chr(0xF0000 + ord(c)) if c.isspace() else c for c in text)


@register_scorer("s2s_char_bleu", dataclass=FairseqDataclass)
class CharacterBleuScorer(MeanScorer):
    """Mean of the items' BLEU over characters, without smoothing, as NL2Bash's own evaluation computes it.

    Its numbers are shares of 1, ours percent. Of several references counts each n-gram where it is most frequent.
    """

    label = "char-BLEU"

    def of_items(self) -> list[float]:
        return [character_bleu(text, list(item)) for text, item in zip(self.pred, self.ref, strict=True)]

    def signature(self) -> str:
        return (
            f"char-bleu|mean:items|order:4|smooth:none|spaces:yes|tool:sacrebleu-{metadata.version('sacrebleu')}"
            f"|refs:{self.references_per_item()}"
        )


@register_scorer("s2s_template", dataclass=FairseqDataclass)
class TemplateScorer(MeanScorer):
    """Mean of the items' template match with the closest reference, in percent.

    The score is NL2Bash's; its parser, which knows the flags of some hundred programs and what their arguments are,
    is not: :func:`template` reads any command by a few rules. So published numbers compare loosely: the nearest
    neighbours of NL2Bash's test requests score 64.8 here, 65.4 by its own code.
    """

    label = "template"

    def of_items(self) -> list[float]:
        items = zip(self.pred, self.ref, strict=True)
        return [100 * max(template_match(text, reference) for reference in item) for text, item in items]

    def signature(self) -> str:
        return f"template|cosine|parts:program+flag+operator|parser:own|refs:{self.references_per_item()}"
