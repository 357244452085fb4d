"""Join JavaScript modules into one script, for a page that is a single file."""

from __future__ import annotations

import re
from pathlib import Path

IMPORT = re.compile(r"^import \{([^}]*)\} from \"([^\"]+)\";\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)
NOTHING = "export {};\n"  # of a module that has types alone
OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(entry: Path) -> str:
    """Return a module and all that it imports as one script: a function for each, which returns what it exports.

    Raises:
        ValueError: a module has an import or export of another form than ours, or two import each other.
    """
    names: dict[Path, str] = {}
    parts: list[str] = []
    _add(entry.resolve(), names, parts, ())
    return '"use strict";\n' + "".join(parts)


def _add(path: Path, names: dict[Path, str], parts: list[str], importers: tuple[Path, ...]) -> str:
    """Append a module after those that it imports; return the name of its exports."""
    if path in importers:
        raise ValueError(f"{path}: imports itself, by way of {importers[-1]}")
    if path in names:
        return names[path]
    text = path.read_text(encoding="utf-8").replace(NOTHING, "")

    def imported(match: re.Match) -> str:
        exports = _add((path.parent / match[2]).resolve(), names, parts, (*importers, path))
        return f"const {{{match[1].replace(' as ', ': ')}}} = {exports};\n"

    body = IMPORT.sub(imported, text)
    exported = EXPORT.findall(body)
    body = EXPORT.sub("", body)
    if other := OTHER.search(body):
        raise ValueError(f"{path}: cannot join {other[0]}")
    names[path] = f"module{len(names)}"
    parts.append(f"const {names[path]} = (() => {{ // {path.name}\n{body}return {{ {', '.join(exported)} }};\n}})();\n")
    return names[path]
