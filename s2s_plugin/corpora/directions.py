"""The directions of translation in a corpus: one, its reverse, or several in one model.

Among several, each source begins with a tag for the target language, ``<2ko>`` (Johnson et al. 2017).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from s2s_plugin.corpora.cleaning import Pair
from s2s_plugin.corpora.splits import SPLITS, Splits, without_leaks
from s2s_plugin.corpora.tables.columns import SIDES
from s2s_plugin.corpora.tally import Tally, missing
from s2s_plugin.corpora.writing import MANIFEST, write_corpus
from s2s_plugin.errors import UserError
from s2s_plugin.utils.compression import plain_path
from s2s_plugin.utils.console import note
from s2s_plugin.utils.io import read_lines, write_lines

SPLIT_PREFIXES = {"train": "", "valid": "valid_", "test": "test_"}  # of the options for the user's files
PREFIXES = (*SPLIT_PREFIXES.values(), "extra_")
PAIR_OPTIONS = tuple(f"{prefix}{side}" for prefix in PREFIXES for side in (*SIDES, "pairs"))
TAG = re.compile(r"<2([^<>\s]+)>")


def join_languages(cfg: DictConfig) -> None:
    """Join several languages of a side to one name: ``[de,ko]`` becomes ``de+ko``."""
    data = OmegaConf.to_container(cfg.data, resolve=False)
    assert isinstance(data, dict)
    sides = {side: data[side] for side in ("source_lang", "target_lang") if isinstance(data[side], list)}
    if len(sides) == 2 and sides["source_lang"] == sides["target_lang"]:
        sides["target_lang"].reverse()  # fairseq tells the sides apart by their names
    for side, languages in sides.items():
        cfg.data[side] = "+".join(map(str, languages))


def split_directions(cfg: DictConfig) -> list[DictConfig]:
    """Return a config for each single direction, with one language per side and one file per option.

    A recipe's languages are combined, each with each other one; the user's files are paired in order, and their endings
    are their languages. A single file is paired with each of several.
    """
    if files := _by_files(cfg, tuple(SPLIT_PREFIXES.values())):
        return files
    pairs = product(*(langs.split("+") for langs in _languages(cfg)))
    return [_with(cfg, source_lang=source, target_lang=target) for source, target in pairs if source != target]


def shared_language(cfg: DictConfig) -> str | None:
    """Return the language that is in all directions, if any: its held-out sentences decide those of the others."""
    common = set.intersection(*(set(_languages(part)) for part in split_directions(cfg)))
    return common.pop() if len(common) == 1 else None


def extra(cfg: DictConfig) -> list[DictConfig]:
    """Return a config for each pair of files with extra training pairs, as :func:`split_directions` does."""
    known, files = names(cfg), _by_files(cfg, ("extra_",))
    if not files and cfg.data.extra_pairs is not None:
        files = split_directions(cfg)
    if not files and len(known) > 1 and cfg.data.extra_source:
        files = [_with(cfg, **{f"{side}_lang": file_language(cfg.data[f"extra_{side}"]) for side in SIDES})]
    for part in files:
        if name(part) not in known:
            raise UserError(f"{part.data.extra_source}: direction must be one of {', '.join(known)}, got {name(part)}")
    return files or [cfg]


def _by_files(cfg: DictConfig, prefixes: Sequence[str]) -> list[DictConfig]:
    """Return a config for each pair of files, if there are several at the first prefix."""
    lists = [files for side in SIDES if isinstance(files := cfg.data[f"{prefixes[0]}{side}"], ListConfig)]
    parts = []
    for number in range(len(lists[0]) if lists else 0):
        chosen: dict[str, Any] = {}
        for key in (f"{prefix}{side}" for prefix in prefixes for side in SIDES):
            chosen[key] = files = cfg.data[key]
            if isinstance(files, ListConfig):
                if len(files) != len(lists[0]):
                    raise UserError(f"data.{key} must have {len(lists[0])} files, one per pair, got {len(files)}")
                chosen[key] = files[number]
        languages = {f"{side}_lang": file_language(chosen[f"{prefixes[0]}{side}"]) for side in SIDES}
        parts.append(_with(cfg, **chosen, **languages))
    return parts


def file_language(file: object) -> str:
    """Return the language that a file of text is named by: the ending of its name."""
    return plain_path(str(file)).suffix.lstrip(".")


def _with(cfg: DictConfig, **data: object) -> DictConfig:
    if all(cfg.data[key] == value for key, value in data.items()):
        return cfg  # a copy takes long
    changed = cfg.copy()
    changed.data.update(data)
    return changed


def reverse(cfg: DictConfig) -> DictConfig | None:
    """Return the config of the opposite direction if its preparation is the same, else None."""
    subword = cfg.subword
    asymmetric = (
        subword.factors, subword.annotate, subword.target_tags, subword.copy_slots, subword.target_kind,
        subword.normalize_source, subword.lossless, subword.fold_repeats,
    )  # fmt: skip
    if (
        len(split_directions(cfg)) != 1
        or any(asymmetric)
        or cfg.data.retrieval
        or not (cfg.data.dialogues is cfg.data.pairs is None)
    ):
        return None
    opposite = dict(zip(SIDES, reversed(SIDES), strict=True))
    sides = {f"{prefix}{side}": cfg.data[f"{prefix}{other}"] for prefix in PREFIXES for side, other in opposite.items()}
    return _with(cfg, **sides, source_lang=cfg.data.target_lang, target_lang=cfg.data.source_lang)


def names(cfg: DictConfig) -> list[str]:
    """Return the distinct directions."""
    return list(dict.fromkeys(name(part) for part in split_directions(cfg)))


def name(part: DictConfig) -> str:
    """Return the direction of one corpus, such as ``en-ko``."""
    return "-".join(_languages(part))


def _languages(part: DictConfig) -> tuple[str, str]:
    return part.data.source_lang, part.data.target_lang


def tags(cfg: DictConfig) -> list[str]:
    """Return the tags of sources; none if there is one direction only."""
    parts = split_directions(cfg) if len(names(cfg)) > 1 else []
    return list(dict.fromkeys(tag(part.data.target_lang) for part in parts))


def tag(language: str) -> str:
    """Return the tag of sources to translate into this language."""
    return f"<2{language}>"


def tagged(text: str, language: str | None) -> str:
    """Return a source with the tag of its target language; None is the only language, which has no tag."""
    return text if language is None else f"{tag(language)} {text}".rstrip(" ")


def untagged(text: str) -> str:
    """Return a source without its tag."""
    return text.partition(" ")[2]


def tagger(vocabulary: Sequence[str], to: str | None, several: bool) -> Callable[[str], str]:
    """Return a function that adds the tag of the language ``to`` to a source that has none.

    Args:
        vocabulary: of the source.
        to: may be None if sources have tags, or the model has at most one.
        several: whether the model was trained on several directions.
    """
    languages = [match[1] for match in map(TAG.fullmatch, vocabulary) if match]
    if to is not None and to not in languages:
        rule = f"must be one of {', '.join(languages)}" if languages else "requires a model of several target languages"
        raise UserError(f"translate_to {rule}, got {to}")
    if several and len(languages) == 1:
        to = languages[0]

    def add_tag(text: str) -> str:
        if text.startswith(tuple(map(tag, languages))):
            return text
        if to is None and several:
            raise UserError(f"set the language to write: {' or '.join(f'translate_to={each}' for each in languages)}")
        return tagged(text, to)

    return add_tag


def merge(
    cfg: DictConfig, parts: Sequence[DictConfig], make: Callable[[DictConfig], Path], text: Path, tally: Tally
) -> Path:
    """Write several corpora as one to the folder ``text``, without training pairs that are held out in any of them.

    If their directions differ, sources are tagged, and ``<split>.direction`` has the direction of each held-out item.
    ``make`` writes the corpus of a part, and returns its folder, the only one in a folder that is deleted.
    """
    corpora: list[tuple[DictConfig, Splits]] = []
    about: dict[str, Any] = {}
    for part in parts:
        back = reverse(part)
        splits = next((splits for other, splits in corpora if back is not None and other.data == back.data), None)
        if splits is None:
            folder = make(part)
            about[name(part)] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files = {split: [folder / f"{split}.{lang}" for lang in _languages(part)] for split in SPLITS}
            splits = {split: list(zip(*map(read_lines, sides), strict=True)) for split, sides in files.items()}
            shutil.rmtree(folder.parent)
        else:
            splits = {split: [(target, source) for source, target in pairs] for split, pairs in splits.items()}
            tally.read += sum(map(len, splits.values())) if tally.read else 0
        corpora.append((part, splits))
    _discard_leaks([splits for _, splits in corpora], tally)
    several = bool(tags(cfg))
    whole: Splits = {split: [] for split in SPLITS}
    labels: dict[str, list[str]] = {split: [] for split in SPLITS}
    for part, splits in corpora:
        to = part.data.target_lang if several else None
        for split, pairs in splits.items():
            whole[split] += [(tagged(source, to), target) for source, target in pairs]
            labels[split] += [name(part)] * len(pairs)
    about = {"name": cfg.data.name, "directions": names(cfg), "corpora": about}
    write_corpus(text, whole, _languages(cfg), about, blank=SPLITS[1:])
    for split in ("valid", "test") if several else ():
        write_lines(text / f"{split}.direction", labels[split])
    return text


def _discard_leaks(corpora: Sequence[Splits], tally: Tally) -> None:
    """Discard training pairs with a side, whichever it is, that is held out in any of the corpora."""
    held_out = [pair for splits in corpora for split in SPLITS[1:] for pair in splits[split]]
    discarded: list[Pair] = []
    for splits in corpora:
        kept = without_leaks(splits["train"], held_out, across_sides=True)
        discarded += missing(splits["train"], kept)
        splits["train"] = kept
    if discarded:
        note(f"{len(discarded):,} training pairs discarded: a side is held out in some direction")
        tally.leave_out("with a side that is held out in some direction", discarded)
