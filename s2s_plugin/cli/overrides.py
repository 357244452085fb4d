"""Read overrides as they are typed: text is quoted for Hydra by the declared type of its option."""

from __future__ import annotations

import os
import re
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from s2s_plugin.errors import UserError
from s2s_plugin.utils.paths import CONF, existing_form

OVERRIDE = re.compile(r"([+~]{0,2})([\w.]+)=(.*)", re.DOTALL)
ELEMENT = re.compile(r"""\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,]*?)\s*(?:,|$)""", re.DOTALL)
SWEEP = re.compile(r"\w+\(.*\)", re.DOTALL)  # a function of Hydra's grammar
MULTIRUN = ("-m", "--multirun")
MAX_NAME = 255  # bytes, of most file systems
FILES = re.compile(  # the options that name a file or a folder
    r"data\.((valid_|test_|extra_)?(pairs|source|target|dialogues|manifest)|from_dir)|run_dir|prepared_dir|"
    r"finetune_from|subword\.from_dir|model\.\w+_path|generation\.replace_unk|common\.(user_dir|tensorboard_logdir)|"
    r"checkpoint\.(save_dir|restore_file|finetune_from_model)|hydra\.\w+\.dir"
)


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
    text, elements, optional = _kind(key)
    if not (text or elements):
        return word if _parsed(word) is not None else f"{prefix}{key}={quoted(value)}"
    if optional and value == "null":
        return word
    quote: Callable[[str], str] = lambda each: _quote(key, each)  # noqa: E731
    exists = FILES.fullmatch(key) is not None and os.path.lexists(value)
    if elements and value.startswith("[") and value.endswith("]") and not exists:
        value = f"[{','.join(map(quote, _split(value[1:-1])))}]"
    elif not text or (sweeps and not exists and (SWEEP.fullmatch(value) or value.startswith("["))):
        return word
    else:
        value = ",".join(map(quote, _split(value) if sweeps and "," in value and not exists else [value]))
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
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(value, Quote.single).with_quotes()


def _is_quoted(value: str) -> bool:
    from hydra.core.override_parser.types import QuotedString

    parsed = _parsed(f"key={value}") if value[:1] in ("'", '"') else None
    return parsed is not None and isinstance(parsed._value, QuotedString)


def _parsed(word: str) -> Any:
    """Return Hydra's reading of an override, None if it has none."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def _kind(key: str) -> tuple[bool, bool, bool]:
    """Return whether an option is text, whether a list of texts, and whether its default is None."""
    declared = list(_fields(key))
    untyped = key.startswith("data.") and [kind for kind, _ in declared] == [Any]  # one text, or several
    kinds = [_alternatives(kind) for kind, _ in declared]
    text = untyped or (bool(kinds) and all(str in kind for kind in kinds))
    lists = [[get_args(each) for each in kind if get_origin(each) is list] for kind in kinds]
    elements = untyped or (bool(lists) and all((str,) in each for each in lists))
    return text, elements, any(default is None for _, default in declared)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _fields(key: str) -> Iterator[tuple[Any, Any]]:
    """Yield type and default of an option: several where parts of a registry have an option of the same name."""
    group, _, rest = key.rpartition(".")
    for schema in _schemas(group):
        field = getattr(schema, "__dataclass_fields__", {}).get(rest)
        if field is not None:
            yield get_type_hints(schema)[rest], field.default


def _schemas(group: str) -> list[Any]:
    """Return the dataclasses of a group; of none, that of the config itself."""
    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from fairseq.registry import REGISTRIES
    from hydra.conf import HydraConf

    from s2s_plugin.models.config import Seq2SeqConfig
    from s2s_plugin.stages.schema import RunConfig
    from s2s_plugin.tasks.config import Seq2SeqTaskConfig

    if group in REGISTRIES:
        return list(REGISTRIES[group]["dataclass_registry"].values())
    if group == "model":
        return [each for each in MODEL_DATACLASS_REGISTRY.values() if issubclass(each, Seq2SeqConfig)]
    roots = {"hydra": HydraConf, "task": Seq2SeqTaskConfig}
    first, *rest = group.split(".")
    schema: Any = roots.get(first, RunConfig)
    for name in rest if first in roots else filter(None, (first, *rest)):
        schema = get_type_hints(schema).get(name) if is_dataclass(schema) else None
    return [schema]
