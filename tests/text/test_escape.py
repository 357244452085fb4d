"""Text as one line, and text as SentencePiece takes it: nothing is lost, whatever there is in it."""

from __future__ import annotations

import pytest
from odd_text import EVERY, TEXTS, odd_texts

from s2s_plugin.text.escape import escape, to_line, unescape


@pytest.mark.parametrize("write", [to_line, escape])
def test_what_is_written_is_read(write):
    for text in [*TEXTS, *EVERY, *odd_texts(3000)]:
        assert unescape(write(text)) == text


def test_a_line_is_one_line():
    for text in [*TEXTS, *EVERY, *odd_texts(3000)]:
        assert len(to_line(text).splitlines()) <= 1
        assert "\0" not in to_line(text)
    assert to_line("a\n\tb") == "a↵\tb"
    assert to_line("plain \\n 'text' \\") == "plain \\n 'text' \\"


def test_escaped_text_is_for_sentencepiece():
    for text in [*TEXTS, *EVERY, *odd_texts(3000)]:
        assert escape(text).replace(" ", "").split() in ([], [escape(text).replace(" ", "")])
        assert "▁" not in escape(text)
        escape(text).encode("utf-8")  # no lone surrogates
    assert escape("a\n\tb ▁") == "a↵⇥b ␛2581;"


def test_any_line_can_be_read():
    """What a model writes need not be well formed."""
    assert unescape("␛ffffff; ␛; ␛") == "␛ffffff; ␛; ␛"
