"""Codecs from text to tokens and back."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor

from s2s_plugin.errors import UserError
from s2s_plugin.text.annotate import annotate
from s2s_plugin.text.escape import escape, to_line, unescape
from s2s_plugin.text.factors import factor_token, split_factors
from s2s_plugin.text.literals import MARK, Literals, reveal
from s2s_plugin.text.normalize import SPACE, normalize, strip_case_and_punctuation
from s2s_plugin.text.repeats import fold, unfold
from s2s_plugin.text.retrieval import RETRIEVED, Retrieval
from s2s_plugin.utils.digests import check_digest
from s2s_plugin.utils.io import read_json

UNKNOWN = "\u2047"  # SentencePiece's surface of its unknown piece
SLOT = re.compile(r"<copy\d+>")
HIDDEN_SLOT = "\ufdd4{}\ufdd4"  # a slot while the text around it is decoded; no text has this noncharacter
# byte-fallback tokens of a character outside the vocabulary
BYTES = re.compile(r"(?<!\S)<0x[0-9A-F]{2}>(?: <0x[0-9A-F]{2}>)*(?!\S)")
RESERVED = re.compile(r"</?s>|<unk>|<pad>|<copy\d+>")  # entries of a dictionary that no piece of text may become
HEX = re.compile("<0x|> ?")  # what they have other than digits


class TextCodec:
    """Codec of one side's text.

    Args:
        model: SentencePiece model file.
        jamo: decompose Hangul when encoding, compose it when decoding.
        factors: the factors of each word by name (see :mod:`s2s_plugin.text.factors`), and their values.
        strip: encode without case and punctuation (see :func:`strip_case_and_punctuation`).
        tags: tokens that only the preparation writes, such as the tag of a language.
        annotate: language of the tagger that makes the factors; None if they stand in the text.
        interleaved: write the factors once before each word, which decoding drops; else after each of its subwords.
        fold: encode repeated words as loops (see :mod:`s2s_plugin.text.repeats`), undone when decoding.
    """

    lossless = False
    vocabulary: Path | None = None  # dictionary whose tokens have other ids than the pieces of the SentencePiece model

    def __init__(
        self,
        model: Path,
        jamo: bool = False,
        factors: Mapping[str, Sequence[str]] | None = None,
        strip: bool = False,
        tags: Sequence[str] = (),
        annotate: str | None = None,
        interleaved: bool = False,
        fold: bool = False,
    ):
        try:
            if not model.is_file():
                raise UserError(f"{model}: no such SentencePiece model; run the prepare stage again")
            self.pieces = SentencePieceProcessor(model_file=str(model))
            names = [self.pieces.id_to_piece(number) for number in range(self.pieces.get_piece_size())]
        except (OSError, RuntimeError, UnicodeDecodeError):
            raise UserError(f"{model}: not a SentencePiece model, or damaged; run the prepare stage again") from None
        self.jamo, self.factors, self.strip, self.fold = jamo, dict(factors or {}), strip, fold
        self.literals = Literals(tags, all_of_them=any(MARK in name for name in names))
        self.annotate, self.interleaved = annotate, interleaved
        self.factor_tokens = {factor_token(name, value) for name in self.factors for value in self.factors[name]}

    @property
    def whole_words(self) -> bool:
        """Whether tokens are words: every subword vocabulary has the space as a token."""
        return not self._has(SPACE)

    def encode(self, text: str, slots: Mapping[str, str] | None = None) -> str:
        """Encode a line of text as tokens separated by spaces, each subword followed by its word's factors.

        Interleaved factors stand before the first subword of their word instead, if the vocabulary has them.

        ``slots``: tokens to write for pieces outside the vocabulary, by their letters.
        """
        words, values = self._words(text)
        tokens: list[str] = []
        word = -1
        for piece in self._split(words):
            word += piece.startswith(SPACE)
            if self.interleaved and piece.startswith(SPACE):
                tokens += [each for each in map(factor_token, self.factors, values[word]) if each in self.factor_tokens]
            slot = slots.get(piece.removeprefix(SPACE)) if slots and not self._has(piece) else None
            is_reserved = RESERVED.fullmatch(piece) or piece in self.factor_tokens
            tokens.append(slot or (piece[:1] + MARK + piece[1:] if is_reserved else piece))
            if not self.interleaved:
                tokens += map(factor_token, self.factors, values[word])
        return " ".join(tokens)

    def decode(self, tokens: str) -> str:
        """Decode tokens separated by spaces, without factors; the unknown token becomes U+2047."""
        pieces = [piece for piece in tokens.split() if piece not in self.factor_tokens]
        if self.whole_words:  # a word copied as a slot or by --replace-unk has no mark of a space yet
            own = (SPACE, self.pieces.id_to_piece(self.pieces.unk_id()))
            pieces = [piece if piece.startswith(own) else SPACE + piece for piece in pieces]
        text = self.pieces.decode_pieces(pieces).replace(SPACE, " ").strip()
        text = reveal(unfold(text) if self.fold else text)
        return unicodedata.normalize("NFC", text) if self.jamo else text

    def unknown(self, text: str) -> list[str]:
        """List the letters of each piece outside the vocabulary, once each, in order."""
        pieces = self._split(self._words(text)[0])
        return list(dict.fromkeys(piece.removeprefix(SPACE) for piece in pieces if not self._has(piece)))

    def dictionary(self, extra_tokens: Sequence[str] = ()) -> Dictionary:
        """Build a fairseq dictionary with the ids of the model, then factors, then new extra tokens."""
        dictionary = Dictionary()
        pieces: Iterable[str] = map(self.pieces.id_to_piece, range(dictionary.nspecial, self.pieces.get_piece_size()))
        if self.vocabulary is not None:
            pieces = Dictionary.load(str(self.vocabulary)).symbols[dictionary.nspecial :]
        factors = (factor_token(name, value) for name, values in self.factors.items() for value in values)
        for token in (*pieces, *factors):
            dictionary.add_symbol(token)
        for token in extra_tokens:
            if token not in dictionary:
                dictionary.add_symbol(token)
        return dictionary

    def _words(self, text: str) -> tuple[list[str], list[list[str]]]:
        """Normalize a text and split it into its words and the factors of each."""
        text = normalize(strip_case_and_punctuation(text) if self.strip else text, self.jamo)
        if self.annotate is None:
            words, values = split_factors(fold(text) if self.fold else text, list(self.factors))
        else:
            words = text.split()
            values = [list(row) for row in annotate(normalize(text), tuple(self.factors), self.annotate)]
        return self.literals.hide(" ".join(words)).split(" "), values

    def _split(self, words: Sequence[str]) -> Iterator[str]:
        """Split words into pieces, and those that SentencePiece joins because they are unknown, at the spaces."""
        for piece in self.pieces.encode(" ".join(words), out_type=str):
            yield from re.findall(f"{SPACE}?[^{SPACE}]+|{SPACE}", piece)

    def _has(self, piece: str) -> bool:
        return self.pieces.piece_to_id(piece) != self.pieces.unk_id()


class CodeCodec(TextCodec):
    """Lossless codec of programs: ``decode(encode(text)) == text`` for any text."""

    lossless = True

    def encode(self, text: str, slots: Mapping[str, str] | None = None) -> str:
        """Encode text as tokens separated by spaces; bytes spell unknown characters, so that there are no slots."""
        return " ".join(self.pieces.encode(self.literals.hide(escape(text)), out_type=str))

    def decode(self, tokens: str) -> str:
        """Decode tokens separated by spaces; invalid UTF-8 becomes U+FFFD."""
        spelled = BYTES.sub(lambda match: bytes.fromhex(HEX.sub("", match[0])).decode("utf-8", "replace"), tokens)
        return unescape(reveal(spelled.replace(" ", "").replace(SPACE, " ")))


@dataclass
class PairCodec:
    """The codecs of a prepared corpus, as fairseq's ``bpe``: encodes text sources and decodes targets.

    Source tokens outside the vocabulary are written <copy0>, <copy1>, ... on both sides (the extended vocabulary of See
    et al. 2017, section 2.2), up to ``copy_slots`` in a pair.
    """

    FILE = "codec.json"
    SHAPE: ClassVar[dict] = {  # by language
        str: {"model": str, "jamo?": bool, "copy_slots?": int, "lossless?": bool, "strip?": bool, "fold?": bool}
        | {"factors?": {str: [str]}, "tags?": [str], "annotate?": (str, type(None)), "interleaved?": bool}
        | {"vocabulary?": str}
    }

    source: TextCodec | None  # None for a signal
    target: TextCodec
    copy_slots: int = 0
    retrieval: Retrieval | None = None  # finds the target that each source comes with

    @property
    def whole_words(self) -> bool:
        """Whether the tokens of both sides are words."""
        return self.source is not None and self.source.whole_words and self.target.whole_words

    @classmethod
    def load(cls, folder: Path, source_lang: str, target_lang: str) -> PairCodec | None:
        """Load the codec that the prepare stage wrote, in either direction; None for a corpus binarized otherwise."""
        path = folder / cls.FILE
        check_digest(path)
        if (sides := read_json(path, cls.SHAPE)) is None:
            return None
        if target_lang not in sides:
            raise UserError(f"{path}: has the languages {', '.join(sides)}, not {target_lang}; check the languages")
        source = _load_side(folder, sides[source_lang]) if source_lang in sides else None
        target = _load_side(folder, sides[target_lang])
        if (target.factors and not target.interleaved) or (source is not None and source.interleaved):
            raise UserError(
                f"{path}: {target_lang} must not have factors, nor {source_lang} tags; reverse the direction"
            )
        retrieval = Retrieval.load(folder, source_lang, target_lang)
        return cls(source, target, sides[target_lang].get("copy_slots", 0), retrieval)

    def encode(self, text: str, own: str | None = None) -> str:
        """Encode a source as tokens separated by spaces; ``own``: the target of a training source, for retrieval."""
        if self.source is None:
            return text
        tokens = self.source.encode(unescape(text) if self.source.lossless else text, self.slots(text))
        if self.retrieval is None or not tokens:
            return tokens
        retrieved = self.encode_target(self.retrieval.target(text, own), text)
        return f"{retrieved} {RETRIEVED} {tokens}".lstrip()  # first, so that truncation keeps it

    def retrieved(self, tokens: str) -> str:
        """Decode the retrieved target of an encoded source."""
        return self.decode(tokens.rpartition(f" {RETRIEVED} ")[0])

    def encode_target(self, text: str, source: str) -> str:
        """Encode the target of a source."""
        return self.target.encode(unescape(text) if self.target.lossless else text, self.slots(source))

    def decode(self, tokens: str) -> str:
        """Decode target tokens as one line, in which slots still stand for copied words, see :meth:`fill`."""
        if self.copy_slots:  # the text <copy0> is no slot: it gets a mark, which fill takes out
            pieces = [HIDDEN_SLOT.format(token[1:-1]) if SLOT.fullmatch(token) else token for token in tokens.split()]
            text = SLOT.sub(lambda slot: f"<{MARK}{slot[0][1:]}", self.target.decode(" ".join(pieces)))
            return re.sub(HIDDEN_SLOT.format("(.*?)"), r"<\1>", text)
        text = self.target.decode(tokens)
        return to_line(text) if self.target.lossless else text

    def fill(self, text: str, source: str) -> str:
        """Replace each slot by the word of the source that it stands for."""
        if not self.copy_slots:
            return text
        words = {slot: word for word, slot in self.slots(source).items()}
        return reveal(SLOT.sub(lambda slot: words.get(slot[0], UNKNOWN), text))

    def slots(self, source: str) -> dict[str, str]:
        """Map the source words outside the vocabulary to their slots."""
        if self.source is None or not self.copy_slots:
            return {}
        return dict(zip(self.source.unknown(source), copy_tokens(self.copy_slots), strict=False))


def _load_side(folder: Path, side: Mapping) -> TextCodec:
    """Load the codec of one language, as ``codec.json`` describes it."""
    model = folder / Path(side["model"]).name
    check_digest(model)
    tags = side.get("tags", ())
    if side.get("lossless"):
        return CodeCodec(model, tags=tags)
    jamo, strip, interleaved, folds = (side.get(name, False) for name in ("jamo", "strip", "interleaved", "fold"))
    codec = TextCodec(model, jamo, side.get("factors"), strip, tags, side.get("annotate"), interleaved, folds)
    if "vocabulary" in side:
        codec.vocabulary = folder / Path(side["vocabulary"]).name
    return codec


def copy_tokens(count: int) -> list[str]:
    """List the tokens of the copy slots."""
    return [f"<copy{number}>" for number in range(count)]
