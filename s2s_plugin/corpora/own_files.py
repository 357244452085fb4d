"""Which files of the user's own a corpus reads, and whether those that are named can be meant."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from s2s_plugin.corpora import directions, tables
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import open_binary, plain_path

# What a choice of data= reads: the options of the training files; one group is required.
REQUIRED = {"files": (("source", "target"), ("pairs",)), "dialogues": (("dialogues",),), "manifest": (("manifest",),)}
SAMPLE = 1000  # lines by which a table is recognized
TABLE_SHARE = 0.95  # of lines with the same number of tabs


def check_own_files(data: DictConfig) -> None:
    """Raise UserError if files are named that this corpus does not read, if one is missing, or cannot be meant."""
    prefixes = directions.SPLIT_PREFIXES.values()
    for kind, groups in REQUIRED.items():
        names = [f"{prefix}{name}" for prefix in prefixes for group in groups for name in group]
        named = [name for name in names if data[name] is not None]
        if named and data.recipe is not None:
            raise UserError(f"data.{named[0]} requires data={kind}, got data={data.name}")
        if data.name == kind and not any(set(group) <= set(named) for group in groups):
            files = [file for name in named if not name.endswith("pairs") for file in _files(data[name])]
            for file in files:
                _check_text(file)
            choices = ", or ".join(" and ".join(f"data.{name}=FILE" for name in group) for group in groups)
            hints = [f"; {hint}" for file in files if file and (hint := table_hint(Path(file)))]
            raise UserError(f"data={kind} requires {choices}{''.join(hints[:1])}")
    for prefix in directions.PREFIXES:
        source, target = (data[f"{prefix}{side}"] for side in directions.SIDES)
        if data[f"{prefix}pairs"] is not None and not (source is target is None):
            raise UserError(f"data.{prefix}pairs and data.{prefix}source are mutually exclusive")
        for file in (*_files(source), *_files(target)):
            _check_text(file)


def corpus_name(data: DictConfig) -> str:
    """Return the name of a corpus, or of the user's first file if it is made of files."""
    own = [data[name] for groups in REQUIRED.values() for group in groups for name in group if data[name] is not None]
    return Path(str(_files(own[0])[0])).name if own else data.name


def _files(value: str | ListConfig | None) -> list[str | None]:
    """Return the files of an option: one, or one for each direction."""
    return [*value] if isinstance(value, ListConfig) else [value]


def _check_text(file: str | None) -> None:
    """Raise UserError if the ending of a file of one side is that of a table."""
    if file is not None and plain_path(file).suffix.lower() in tables.ENDINGS:
        raise UserError(
            f"{file}: a table, expected text with a sentence per line; read both sides of a table with "
            f"data.pairs={file} (docs/data.md)"
        )


def table_hint(path: Path, remedy: str = "data.pairs={} reads both sides of one") -> str | None:
    """Return a hint if the lines of a file have tabs as a table has them, else None."""
    if not path.is_file():
        return None
    with open_binary(path) as file:
        tabs = Counter(line.count(b"\t") for line in islice(file, SAMPLE))
    number, count = max(tabs.items(), key=lambda item: item[1], default=(0, 0))
    if number == 0 or count <= TABLE_SHARE * tabs.total():
        return None
    return (
        f"{path}: {count / tabs.total():.0%} of the lines have {number} tab{'s' if number > 1 else ''}, as in a table; "
        + remedy.format(path)
    )
