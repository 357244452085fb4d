"""Text to symbols and back: Unicode normalisation, optional jamo, SentencePiece."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

from fairseq.data import Dictionary

from s2s_plugin.errors import UserError

# Format characters that carry meaning inside words (Persian, Indic scripts, emoji); all others are dropped.
JOINERS = "\u200c\u200d"
SPACE = "\u2581"  # SentencePiece's own mark of a space: in the text it would come back as one


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


class TextCodec:
    """One side's text to subword symbols, and back.

    Args:
        model: SentencePiece model file.
        jamo: decompose Hangul on the way in, recompose on the way out.
    """

    def __init__(self, model: Path, jamo: bool = False):
        import sentencepiece

        if not model.is_file():
            raise UserError(f"{model}: no such SentencePiece model; run the prepare stage again")
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self.jamo = jamo

    def encode(self, text: str) -> str:
        """Text to symbols separated by spaces."""
        return " ".join(self.pieces.encode(normalize(text, self.jamo), out_type=str))

    def decode(self, symbols: str) -> str:
        """Symbols separated by spaces to text. What the model could not spell reads U+2047 (two ?)."""
        text = self.pieces.decode_pieces(symbols.split())
        return unicodedata.normalize("NFC", text).strip() if self.jamo else text.strip()

    def dictionary(self) -> Dictionary:
        """fairseq's dictionary with the ids of the SentencePiece model."""
        dictionary = Dictionary()
        for index in range(dictionary.nspecial, self.pieces.get_piece_size()):
            dictionary.add_symbol(self.pieces.id_to_piece(index))
        return dictionary


class PairCodec:
    """A prepared corpus's codecs, as fairseq's ``bpe``: encodes sources, where they are text, and decodes targets."""

    FILE = "codec.json"

    def __init__(self, source: TextCodec | None, target: TextCodec):
        self.source, self.target = source, target

    @classmethod
    def load(cls, folder: Path, source_lang: str, target_lang: str) -> PairCodec | None:
        """The codec that the prepare stage wrote, in either direction; None for a corpus binarised otherwise."""
        path = folder / cls.FILE
        if not path.is_file():
            return None
        sides = json.loads(path.read_text(encoding="utf-8"))
        source, target = (
            TextCodec(folder / sides[lang]["model"], sides[lang]["jamo"]) if lang in sides else None
            for lang in (source_lang, target_lang)
        )
        if target is None:
            raise UserError(f"{path}: names the languages {', '.join(sides)}, not {target_lang}; check the languages")
        return cls(source, target)

    def encode(self, text: str) -> str:
        return text if self.source is None else self.source.encode(text)

    def decode(self, symbols: str) -> str:
        return self.target.decode(symbols)
