"""Text to symbols and back: normalised, or exactly as it is; jamo, SentencePiece, factors, slots for copying."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq.data import Dictionary

from s2s_plugin.errors import UserError
from s2s_plugin.text.escape import escape, from_line, to_line, unescape
from s2s_plugin.text.factors import factor_token, split_factors
from s2s_plugin.text.retrieval import RETRIEVED, Retrieval

# Format characters that carry meaning inside words (Persian, Indic scripts, emoji); all others are dropped.
JOINERS = "\u200c\u200d"
UNKNOWN = "\u2047"  # what SentencePiece writes for its unknown piece
SLOT = re.compile(r"<copy\d+>")
TAG = re.compile(r"(<[^<>\s]+>)")
SPACE = "\u2581"  # SentencePiece's own mark of a space: in the text it would come back as one
BYTES = re.compile(r"(?:<0x[0-9A-F]{2}> ?)+")  # symbols for a character that is in no vocabulary


def normalize(text: str, jamo: bool = False) -> str:
    """One line of text as the model sees it.

    NFC, which keeps every script's own typography; control characters and every kind of white space (also
    U+00A0, U+2028 and U+2581) become one space; invisible format characters go. ``jamo`` then decomposes Hangul
    syllables into letters (NFD), which makes every syllable spellable with 67 symbols.
    """
    text = unicodedata.normalize("NFC", text)
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zs", "Zl", "Zp") or character == SPACE:
            kept.append(" ")
        elif category not in ("Cf", "Cs", "Cn") or character in JOINERS:
            kept.append(character)
    text = " ".join("".join(kept).split())
    # Once more: what went may have stood between a letter and its accent.
    return unicodedata.normalize("NFD" if jamo else "NFC", text)


def plain(text: str) -> str:
    """In lower case, without punctuation but for apostrophes in words; tags such as <turn> stay as they are.

    What is nothing but punctuation, between two tags or all of it, stays too.
    """
    parts = TAG.split(text)
    parts[::2] = (_plain(part) or part.strip() for part in parts[::2])
    return " ".join(part for part in parts if part)


def _plain(text: str) -> str:
    kept = []
    for before, character, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        inside = character in "'\u2019" and before.isalpha() and after.isalpha()
        letter = unicodedata.category(character)[0] in "LMN" or character in JOINERS
        kept.append("'" if inside else character.lower() if letter else " ")
    return " ".join("".join(kept).split())


class TextCodec:
    """One side's text to subword symbols, and back.

    Args:
        model: SentencePiece model file.
        jamo: decompose Hangul on the way in, recompose on the way out.
        plain: read it in lower case and without punctuation (see :func:`plain`).
        factors: names of what stands beside each word (see :mod:`s2s_plugin.text.factors`), and their values.
            Each subword is followed by its word's.
    """

    lossless = False

    def __init__(
        self,
        model: Path,
        jamo: bool = False,
        factors: Mapping[str, Sequence[str]] | None = None,
        plain: bool = False,
    ):
        import sentencepiece

        if not model.is_file():
            raise UserError(f"{model}: no such SentencePiece model; run the prepare stage again")
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self.jamo = jamo
        self.plain = plain
        self.factors = dict(factors or {})

    @property
    def whole_words(self) -> bool:
        """Whether symbols are words: no vocabulary of parts of words lacks the space alone."""
        return not self._has(SPACE)

    def encode(self, text: str, slots: Mapping[str, str] | None = None) -> str:
        """Text to symbols separated by spaces.

        Args:
            slots: what to write for pieces that are not in the vocabulary, by their letters.

        Raises:
            UserError: a word without its factors.
        """
        words, values = split_factors(self.normalize(text), list(self.factors))
        symbols, word = [], -1
        for piece in self._split(words):
            word += piece.startswith(SPACE)
            slot = slots.get(piece.removeprefix(SPACE)) if slots and not self._has(piece) else None
            symbols.append(slot or piece)
            symbols += [factor_token(name, value) for name, value in zip(self.factors, values[word], strict=True)]
        return " ".join(symbols)

    def normalize(self, text: str) -> str:
        """The text as it is cut into symbols."""
        return normalize(plain(text) if self.plain else text, self.jamo)

    def decode(self, symbols: str) -> str:
        """Symbols separated by spaces to text. What the model could not spell reads U+2047 (two ?)."""
        pieces = symbols.split()
        if self.whole_words:  # each has a space; what was copied, as a slot or by --replace-unk, not yet
            own = (SPACE, self.pieces.id_to_piece(self.pieces.unk_id()))
            pieces = [piece if piece.startswith(own) else SPACE + piece for piece in pieces]
        text = self.pieces.decode_pieces(pieces).replace(SPACE, " ").strip()
        return unicodedata.normalize("NFC", text) if self.jamo else text

    def unknown(self, text: str) -> list[str]:
        """The letters of each piece that is not in the vocabulary, once each, in order."""
        words, _ = split_factors(self.normalize(text), list(self.factors))
        unknown = (piece.removeprefix(SPACE) for piece in self._split(words) if not self._has(piece))
        return list(dict.fromkeys(unknown))

    def dictionary(self, more: Sequence[str] = ()) -> Dictionary:
        """fairseq's dictionary with the ids of the SentencePiece model, then factors, then what is new in ``more``."""
        dictionary = Dictionary()
        for index in range(dictionary.nspecial, self.pieces.get_piece_size()):
            dictionary.add_symbol(self.pieces.id_to_piece(index))
        for name, values in self.factors.items():
            for value in values:
                dictionary.add_symbol(factor_token(name, value))
        for symbol in more:
            if symbol not in dictionary:
                dictionary.add_symbol(symbol)
        return dictionary

    def _split(self, words: Sequence[str]) -> Iterator[str]:
        """Pieces of the words. SentencePiece joins unknown neighbours, over spaces too: they are parted again."""
        for piece in self.pieces.encode(" ".join(words), out_type=str):
            yield from re.findall(f"{SPACE}?[^{SPACE}]+|{SPACE}", piece)

    def _has(self, piece: str) -> bool:
        return self.pieces.piece_to_id(piece) != self.pieces.unk_id()


class CodeCodec(TextCodec):
    """Programs to subword symbols and back: ``decode(encode(text)) == text`` for any text.

    Args:
        model: SentencePiece model file, learnt from escaped text with ``LOSSLESS_OPTIONS``.
    """

    lossless = True

    def __init__(self, model: Path):
        super().__init__(model)

    def encode(self, text: str, slots: Mapping[str, str] | None = None) -> str:
        """Text to symbols separated by spaces. There are no slots: what is in no vocabulary is spelt in bytes."""
        return " ".join(self.pieces.encode(escape(text), out_type=str))

    def decode(self, symbols: str) -> str:
        """Symbols separated by spaces to text. Bytes that are no UTF-8 read U+FFFD."""
        spelt = BYTES.sub(lambda found: _characters(found[0]), symbols)
        return unescape(spelt.replace(" ", "").replace(SPACE, " "))

    def unknown(self, text: str) -> list[str]:
        return []


def _characters(symbols: str) -> str:
    """Of bytes written ``<0xE2> <0x82> <0xAC>``."""
    return bytes.fromhex(re.sub("<0x|> ?", "", symbols)).decode("utf-8", "replace")


# How SentencePiece learns the pieces of a CodeCodec: every space counts, runs of them are pieces, digits stand alone.
LOSSLESS_OPTIONS: dict[str, Any] = {
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
    "byte_fallback": True,
    "split_digits": True,
}


class PairCodec:
    """A prepared corpus's codecs, as fairseq's ``bpe``: encodes sources, where they are text, and decodes targets.

    Args:
        source: None for a signal.
        target: the other side.
        copy_slots: so many symbols of a source that are in no vocabulary are written <copy0>, <copy1>, ... on both
            sides (the extended vocabulary of See et al. 2017, section 2.2).
        retrieval: what each source brings along; or None.
    """

    FILE = "codec.json"

    def __init__(
        self, source: TextCodec | None, target: TextCodec, copy_slots: int = 0, retrieval: Retrieval | None = None
    ):
        self.source, self.target = source, target
        self.copy_slots = copy_slots
        self.retrieval = retrieval

    @property
    def whole_words(self) -> bool:
        """Whether the symbols of both sides are words."""
        return self.source is not None and self.source.whole_words and self.target.whole_words

    @classmethod
    def load(cls, folder: Path, source_lang: str, target_lang: str) -> PairCodec | None:
        """The codec that the prepare stage wrote, in either direction; None for a corpus binarised otherwise."""
        path = folder / cls.FILE
        if not path.is_file():
            return None
        sides = json.loads(path.read_text(encoding="utf-8"))
        source, target = (_side(folder, sides[lang]) if lang in sides else None for lang in (source_lang, target_lang))
        if target is None:
            raise UserError(f"{path}: names the languages {', '.join(sides)}, not {target_lang}; check the languages")
        if target.factors:
            raise UserError(f"{path}: {target_lang} has factors, which are read and not written: it can be no target")
        retrieval = Retrieval.load(folder, source_lang, target_lang)
        return cls(source, target, sides[target_lang].get("copy_slots", 0), retrieval)

    def encode(self, text: str, own: str | None = None) -> str:
        """A source to symbols separated by spaces; ``own``: its target, if it is a training source, for retrieval."""
        if self.source is None:
            return text
        symbols = self.source.encode(from_line(text) if self.source.lossless else text, self.slots(text))
        if self.retrieval is None or not symbols:
            return symbols
        retrieved = self.encode_target(self.retrieval.target(text, own), text)
        return f"{retrieved} {RETRIEVED} {symbols}".lstrip()  # first, where no text is too long for it

    def retrieved(self, symbols: str) -> str:
        """What an encoded source brings, as text."""
        return self.decode(symbols.rpartition(f" {RETRIEVED} ")[0])

    def encode_target(self, text: str, source: str) -> str:
        """The target of a source."""
        return self.target.encode(from_line(text) if self.target.lossless else text, self.slots(source))

    def decode(self, symbols: str) -> str:
        """Symbols of the target to text, in which slots still stand for what is copied; a program in one line."""
        text = self.target.decode(symbols)
        return to_line(text) if self.target.lossless else text

    def fill(self, text: str, source: str) -> str:
        """The text with each slot replaced by what it stands for in the source."""
        words = {slot: word for word, slot in self.slots(source).items()}
        return SLOT.sub(lambda slot: words.get(slot[0], UNKNOWN), text) if self.copy_slots else text

    def slots(self, source: str) -> dict[str, str]:
        """The symbols of a source that are in no vocabulary, with the slots to write for them."""
        if self.source is None or not self.copy_slots:
            return {}
        return dict(zip(self.source.unknown(source), copy_tokens(self.copy_slots), strict=False))


def _side(folder: Path, side: Mapping) -> TextCodec:
    """The codec of one language, as ``codec.json`` describes it."""
    model = folder / side["model"]
    if side.get("lossless"):
        return CodeCodec(model)
    return TextCodec(model, side["jamo"], side.get("factors"), side.get("plain", False))


def copy_tokens(count: int) -> list[str]:
    return [f"<copy{number}>" for number in range(count)]
