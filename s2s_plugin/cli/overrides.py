"""Read overrides as they are typed: names of files, runs and languages are quoted for Hydra."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from s2s_plugin.errors import UserError
from s2s_plugin.utils.paths import CONF, existing_form

OVERRIDE = re.compile(r"([+~]{0,2})([\w.]+)=(.*)", re.DOTALL)
ELEMENT = re.compile(r"""\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)""", re.DOTALL)
SWEEP = re.compile(r"\w+\(.*\)|\[.*", re.DOTALL)  # a function of Hydra's grammar, or lists
MULTIRUN = ("-m", "--multirun")
MAX_NAME = 255  # bytes, of most file systems
FILES = re.compile(  # the options that name a file or a folder
    r"data\.((valid_|test_|extra_)?(pairs|source|target|dialogues|manifest)|from_dir)|run_dir|prepared_dir|"
    r"diagnose\.(challenge|alignments)|explain\.png|check\.(run|write)|"
    r"finetune_from|subword\.from_dir|model\.\w+_path|generation\.replace_unk|common\.(user_dir|tensorboard_logdir)|"
    r"checkpoint\.(save_dir|restore_file|finetune_from_model)|hydra\.\w+\.dir"
)
NAMES = re.compile(r"name|data\.(name|(source|target)_(lang|column))|translate_to|chat\.fallback")  # other texts


def quote_overrides(words: Sequence[str]) -> list[str]:
    """Return the overrides with text quoted as Hydra reads it, except what is quoted, an interpolation or a sweep.

    Raises:
        UserError: the name of the run cannot be that of a folder.
    """
    sweeps = any(word in MULTIRUN for word in words)
    return [_quote_override(word, sweeps) for word in words]


def _quote_override(word: str, sweeps: bool) -> str:
    match = OVERRIDE.fullmatch(word)
    if match is None or (CONF / match[2]).is_dir():  # a choice of a group
        return word
    prefix, key, value = match.groups()
    quote = partial(_quote, key)
    if not (FILES.fullmatch(key) or NAMES.fullmatch(key)):
        return word if _parsed(word) is not None else f"{prefix}{key}={quoted(value)}"
    if value == "null" and not NAMES.fullmatch(key):
        return word
    exists = FILES.fullmatch(key) is not None and os.path.lexists(value)
    if key.startswith(("data.", "diagnose.")) and value.startswith("[") and value.endswith("]") and not exists:
        value = f"[{','.join(map(quote, _split(value[1:-1])))}]"
    elif sweeps and not exists:
        value = value if SWEEP.fullmatch(value) else ",".join(map(quote, _split(value)))
    else:
        value = quote(value)
    return f"{prefix}{key}={value}"


def _split(value: str) -> list[str]:
    """Split at the commas outside quotes; nothing has no elements."""
    return [match[1] for match in ELEMENT.finditer(value) if match.start() < len(value)]


def _quote(key: str, value: str) -> str:
    """Quote one text; find the file that it names."""
    if "${" in value or (_is_quoted(value) and not os.path.lexists(value)):
        return value
    if key == "name":
        check_name(value)
    if FILES.fullmatch(key):
        value = existing_form(value if os.path.lexists(value) else os.path.expanduser(value))  # noqa: PTH111 (keeps a/)
    return quoted(value)


def check_name(name: str) -> None:
    """Raise UserError if a run's name cannot be that of a folder."""
    size = len(name.encode("utf-8", "surrogateescape"))
    if name.strip() in ("", ".", "..") or "/" in name or "\0" in name or size > MAX_NAME:
        shown = f"{size} bytes" if size > MAX_NAME else repr(name)
        rule = f"not empty, . or .., without / and NUL, at most {MAX_NAME} bytes"
        raise UserError(f"name must be a name for a folder ({rule}), got {shown}")


def quoted(value: str) -> str:
    """Quote text for Hydra."""
    return QuotedString(value, Quote.single).with_quotes()


def _is_quoted(value: str) -> bool:
    parsed = _parsed(f"key={value}") if value[:1] in ("'", '"') else None
    return parsed is not None and isinstance(parsed._value, QuotedString)


def _parsed(word: str) -> Any:
    """Return Hydra's reading of an override, None if it has none."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None
