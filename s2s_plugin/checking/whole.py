"""What only the whole corpus shows: leaks, duplicates, what differs from the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from s2s_plugin.checking.index import Found, Index
from s2s_plugin.checking.language import MIN_TEXT
from s2s_plugin.checking.near import BUCKETS, NearIndex, are_near
from s2s_plugin.corpora.tables.columns import SIDES
from s2s_plugin.utils.progress import Progress

STRONGER = {  # a row has none of the former if it has one of the latter
    "near_duplicate": ("duplicate",),
    "near_target_leak": ("leak", "source_leak", "target_leak", "near_leak", "near_source_leak"),
    "near_source_leak": ("leak", "source_leak", "target_leak", "near_leak"),
    "near_leak": ("leak", "source_leak"),
}
FETCHED = 1000  # pairs of candidates that are compared at once
MIN_JUDGED = 20  # texts of a side whose script or language is known, from which others stand out
SCRIPT_MAJORITY, LANGUAGE_MAJORITY = 0.9, 0.9  # share of a side that must agree
MIN_IDENTIFIED = 0.5  # share of the long texts of a side whose language is that of the side
SAMPLE = 100_000  # pairs from which usual lengths are computed
DEVIATION = 6.0  # times the usual one (median, scaled to the standard deviation of a normal distribution)
FACTOR = 2.5  # by which the ratio must differ from the usual one, too
LOOSE = 0.2  # median deviation of the logarithm of the ratio, from which lengths say nothing about a pair
MIN_OUTLIER = 20  # characters of the longer side


def find_leaks(index: Index) -> None:
    """Find rows of a lower part with a side or both in a higher part."""
    for kind, columns, before in (
        ("leak", ("source_hash", "target_hash"), ()),
        ("source_leak", ("source_hash",), ("leak",)),
        ("target_leak", ("target_hash",), ("leak", "source_leak")),
    ):
        names = ", ".join(columns)
        known = ", ".join(f"'{name}'" for name in before)
        index.run(f"CREATE TABLE held AS SELECT {names}, id, max(part) AS part FROM row WHERE part > 0 AND usable "
                  f"GROUP BY {names}")  # fmt: skip
        index.run(f"CREATE INDEX held_key ON held ({names})")
        index.run(
            f"INSERT INTO finding SELECT '{kind}', row.id, held.id, '', 0 FROM row JOIN held USING ({names}) "
            "WHERE row.usable AND held.part > row.part "
            f"AND NOT EXISTS (SELECT 1 FROM finding WHERE kind IN ({known}) AND finding.id = row.id)"
        )
        index.run("DROP TABLE held")


def held_out_rows(index: Index, kind: str) -> int:
    """Return how many held-out rows the leaks of a kind concern."""
    columns = {"leak": "source_hash, target_hash", "source_leak": "source_hash", "target_leak": "target_hash"}
    if (names := columns.get(kind)) is None:
        return index.value("SELECT count(DISTINCT partner) FROM finding WHERE kind = ?", kind)
    return index.value(
        f"SELECT count(*) FROM row WHERE part > 0 AND usable AND ({names}) IN "
        f"(SELECT {names} FROM row JOIN finding USING (id) WHERE kind = ?)", kind
    )  # fmt: skip


def find_duplicates(index: Index) -> None:
    """Find the pairs of a part that repeat an earlier one of it."""
    index.run(
        "INSERT INTO finding SELECT 'duplicate', id, first, '', 0 FROM (SELECT id, min(id) OVER "
        "(PARTITION BY part, source_hash, target_hash) AS first FROM row WHERE usable) WHERE id > first"
    )


def find_several(index: Index) -> None:
    """Find training sources with several targets, and targets with several sources."""
    for kind, one, other in (("several_targets", *SIDES), ("several_sources", *SIDES[::-1])):
        index.run(
            f"INSERT INTO finding SELECT '{kind}', min(id), NULL, count(DISTINCT {other}_hash) || ' {other}s', "
            f"-count(DISTINCT {other}_hash) FROM row WHERE usable AND part = 0 GROUP BY {one}_hash "
            f"HAVING count(DISTINCT {other}_hash) > 1"
        )


def find_near(index: Index, near: Sequence[NearIndex], training: int) -> None:
    """Find near duplicates in training, and training rows that are near to held-out ones.

    ``training``: how many rows are in training; they are the first.
    """
    held_out = index.value("SELECT count(*) FROM row WHERE part > 0") > 0
    for side, texts in zip(SIDES, near, strict=True):
        if side == "target" and not held_out:
            continue
        for pairs in Progress(texts.candidates(training + 1), f"      near {side}s", unit="part", total=BUCKETS):
            for start in range(0, len(pairs), FETCHED):
                index.note(list(_confirmed(index, pairs[start : start + FETCHED].tolist(), side)))
    for kind, stronger in STRONGER.items():
        index.run(f"DELETE FROM finding WHERE kind = '{kind}' AND id IN (SELECT id FROM finding WHERE kind IN "
                  f"({', '.join(map(repr, stronger))}))")  # fmt: skip


def _confirmed(index: Index, pairs: Sequence[tuple[int, int]], side: str) -> Iterator[Found]:
    """Yield what pairs of candidates are; they share a band of this side."""
    ids = sorted({number for pair in pairs for number in pair})
    marks = ", ".join("?" * len(ids))
    rows = {
        row[0]: row
        for row in index.rows(f"SELECT id, part, source_key, target_key FROM row WHERE id IN ({marks})", *ids)
    }
    for first, second in pairs:
        (_, part, *keys), (_, other_part, *other_keys) = rows[first], rows[second]
        near = dict(zip(SIDES, map(are_near, keys, other_keys), strict=True))
        if keys == other_keys or not near[side]:
            continue
        # Where both sides differ, a name may have been replaced on both.
        same = any(key.replace(" ", "") == other.replace(" ", "") for key, other in zip(keys, other_keys, strict=True))
        if all(near.values()) and same:
            if part == other_part == 0:
                yield Found("near_duplicate", second, first)
            elif part != other_part:
                yield Found("near_leak", first, second)
        elif part != other_part and keys[SIDES.index(side)] != other_keys[SIDES.index(side)]:
            yield Found(f"near_{side}_leak", first, second)


def find_foreign(index: Index, unchecked: list[str]) -> dict[str, str]:
    """Find texts in another script or language than nearly all of their side.

    Returns:
        script and language of each side, where nearly all agree.
    """
    usual: dict[str, str] = {}
    for side in SIDES:
        for kind, majority in (("script", SCRIPT_MAJORITY), ("language", LANGUAGE_MAJORITY)):
            column = f"{side}_{kind}"
            counts = dict(index.rows(f"SELECT {column}, count(*) FROM row WHERE {column} IS NOT NULL GROUP BY 1"))
            total = sum(counts.values())
            if total < MIN_JUDGED:
                continue
            main = max(counts, key=lambda name: counts[name])
            long = index.value(f"SELECT count(*) FROM row WHERE usable AND length({side}) >= ?", MIN_TEXT)
            if counts[main] < majority * total or (kind == "language" and counts[main] < MIN_IDENTIFIED * long):
                unchecked.append(f"the {kind} of the {side}s: there is no usual one")
                continue
            usual[column] = main
            index.run(
                f"INSERT OR IGNORE INTO finding SELECT '{kind}', id, NULL, '{side}: ' || {column} || ', not {main}', 0 "
                f"FROM row WHERE {column} <> ?", main
            )  # fmt: skip
    index.run("DELETE FROM finding WHERE kind = 'language' AND id IN "
              "(SELECT id FROM finding WHERE kind IN ('script', 'copy'))")  # fmt: skip
    return usual


def find_lengths(index: Index, unchecked: list[str]) -> None:
    """Find pairs whose ratio of lengths is far from the usual one.

    The logarithm of the ratio varies with one over the square root of the length (Gale and Church 1993, section 3.2).
    """
    count = index.value("SELECT count(*) FROM row WHERE usable AND part = 0") or 0
    step = max(1, count // SAMPLE)
    query = "SELECT length(source), length(target) FROM row WHERE usable AND part = 0 AND id % ? = 0"
    sample = np.asarray(list(index.rows(query, step))).reshape(-1, 2)
    if len(sample) < MIN_JUDGED:
        return
    ratios = np.log(sample[:, 1] / sample[:, 0])
    usual = float(np.median(ratios))
    if np.median(np.abs(ratios - usual)) > LOOSE:
        unchecked.append("ratios of lengths: they vary too much in this corpus")
        return
    scale = 1.4826 * float(np.median(np.abs((ratios - usual) * np.sqrt(sample.sum(1))))) or 1.0
    index.db.create_function("ln", 1, math.log, deterministic=True)
    index.db.create_function("sqrt", 1, math.sqrt, deterministic=True)
    index.run(
        "INSERT INTO finding SELECT 'length', id, NULL, s || ' and ' || t || ' characters', -abs(r) * sqrt(s + t) FROM "
        "(SELECT id, s, t, ln(1.0 * t / s) - ? AS r FROM (SELECT id, length(source) AS s, length(target) AS t FROM row "
        "WHERE usable)) WHERE max(s, t) >= ? AND abs(r) > ? AND abs(r) * sqrt(s + t) > ?",
        usual, MIN_OUTLIER, math.log(FACTOR), DEVIATION * scale,
    )  # fmt: skip
