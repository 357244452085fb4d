"""Reading the user's own parallel text, with every mistake named by file and line."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.errors import UserError

LONGEST_LINE = 20_000  # characters; a sentence pair beyond it is a broken file


def skips_bad(data: DictConfig) -> bool:
    """Return whether unusable lines and media are skipped.

    Raises:
        UserError: ``data.on_bad_item`` is neither error nor skip.
    """
    if data.on_bad_item not in ("error", "skip"):
        raise UserError(f"data.on_bad_item must be error or skip, got {data.on_bad_item}")
    return data.on_bad_item == "skip"


def read_lines(path: Path, empty_lines: bool = False) -> list[str | UserError]:
    """Lines of a UTF-8 file, without their ends; an unusable line is given as the error it would raise.

    ``empty_lines``: they are usable.

    Raises:
        UserError: the file is missing, unreadable or empty.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the name") from None
    if not raw.strip():
        raise UserError(f"{path}: the file is empty; it must hold one sentence per line")
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    found = (_line(path, number, line) for number, line in enumerate(lines, start=1))
    return ["" if empty_lines and not line.strip() else usable for line, usable in zip(lines, found, strict=True)]


def _line(path: Path, number: int, raw: bytes) -> str | UserError:
    where = f"{path}, line {number}"
    try:
        line = raw.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        return UserError(f"{where}: byte {error.start + 1} is not UTF-8; convert the file, e.g. with iconv")
    if not line.strip():
        return UserError(f"{where}: the line is empty; every line must hold a sentence")
    for character, name in (("\0", "NUL"), ("\u2028", "U+2028"), ("\u2029", "U+2029"), ("\u0085", "U+0085")):
        if character in line:
            return UserError(f"{where}: holds {name}, which some tools take for a line end; delete it")
    if len(line) > LONGEST_LINE:
        return UserError(f"{where}: {len(line):,} characters are no sentence; split it (at most {LONGEST_LINE:,})")
    return line


def read_parallel(source: Path, target: Path, skip_bad: bool) -> tuple[list[tuple[str, str]], int]:
    """Pairs of the two files, and how many were left out.

    Args:
        skip_bad: leave out pairs with an unusable side instead of raising.

    Raises:
        UserError: see :func:`read_lines`; the files differ in length; a line is unusable and not to be skipped.
    """
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        raise UserError(
            f"{source} has {len(sources):,} lines but {target} has {len(targets):,}: "
            "line n of one must translate line n of the other; find where they part"
        )
    pairs, skipped = [], 0
    for pair in zip(sources, targets, strict=True):
        bad = next((side for side in pair if isinstance(side, UserError)), None)
        if bad is None:
            pairs.append((str(pair[0]), str(pair[1])))
        elif skip_bad:
            skipped += 1
        else:
            raise UserError(f"{bad}; or leave such pairs out with data.on_bad_item=skip")
    if not pairs:
        raise UserError(f"{source}: no usable pair is left of {len(sources):,}")
    return pairs, skipped
