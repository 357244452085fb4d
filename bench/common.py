"""What the benchmarks of speed share."""

from __future__ import annotations

from pathlib import Path


def write_dictionaries(folder: Path, symbols: int) -> None:
    """What a task needs of a data folder to build a model: dictionaries of so many symbols, fairseq's four of them."""
    for name in ("dict.src.txt", "dict.tgt.txt", "train.src-tgt.src.idx"):  # the last one names the languages
        (folder / name).write_text("".join(f"w{index} 1\n" for index in range(symbols - 4)))


def table(rows: list[dict]) -> str:
    """Markdown; rows may lack cells of the longest one."""
    names: list[str] = max((list(row) for row in rows), key=lambda names: len(names))
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
