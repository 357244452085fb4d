"""The directions of translation in a corpus: one, the same one turned round, or several in one model.

In a corpus of several directions each source begins with a tag that says the language to write, ``<2ko>`` (Johnson et
al. 2017, "Google's Multilingual Neural Machine Translation System"); the model is the same.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from s2s_plugin.corpora.splits import SPLITS, Pair, Splits, match_key, write_corpus
from s2s_plugin.errors import UserError
from s2s_plugin.utils.console import say
from s2s_plugin.utils.io import read_lines

# The user's files, which come in pairs: for training, held out, and further ones for training alone.
PREFIXES = ("", "valid_", "test_", "extra_")
SIDES = ("source", "target")
TAG = re.compile(r"<2([^<>\s]+)>")
FILES = tuple(f"{prefix}{side}" for prefix in PREFIXES for side in SIDES)


def join_languages(cfg: DictConfig) -> None:
    """Several languages of a side become one name: ``[de,ko]`` is ``de+ko`` from here on."""
    given = OmegaConf.to_container(cfg.data, resolve=False)
    assert isinstance(given, dict)
    sides = {side: given[side] for side in ("source_lang", "target_lang") if isinstance(given[side], list)}
    if len(sides) == 2 and sides["source_lang"] == sides["target_lang"]:
        sides["target_lang"].reverse()  # fairseq tells the sides apart by their names
    for side, languages in sides.items():
        cfg.data[side] = "+".join(map(str, languages))


def split_directions(cfg: DictConfig) -> list[DictConfig]:
    """A config for each corpus of one direction: with one language on a side, and one file in each place.

    Of a recipe's languages each goes to each other one; of the user's files each to its partner, in the languages of
    their endings. A single file goes with each of several.

    Raises:
        UserError: files that have no partner.
    """
    data = cfg.data
    if files := _by_files(cfg, "", ("", "valid_", "test_")):
        return files
    pairs = [(s, t) for s in data.source_lang.split("+") for t in data.target_lang.split("+") if s != t]
    return [_with(cfg, source_lang=source, target_lang=target) for source, target in pairs]


def shared_language(cfg: DictConfig) -> str | None:
    """The language that all directions have, if there is one such: one translation is held out if the others are."""
    sides = [{part.data.source_lang, part.data.target_lang} for part in split_directions(cfg)]
    common = set.intersection(*sides)
    return common.pop() if len(common) == 1 else None


def extra(cfg: DictConfig) -> list[DictConfig]:
    """A config for each pair of files with further pairs to train on, in the same way.

    Raises:
        UserError: files that have no partner, or are of no direction of the corpus.
    """
    known, files = names(cfg), _by_files(cfg, "extra_", ("extra_",))
    if not files and len(known) > 1 and cfg.data.extra_source:
        files = [_with(cfg, **{f"{side}_lang": _ending(cfg.data[f"extra_{side}"]) for side in SIDES})]
    for part in files:
        if name(part) not in known:
            raise UserError(f"{part.data.extra_source}: is {name(part)}, by its ending; there are {', '.join(known)}")
    return files or [cfg]


def _by_files(cfg: DictConfig, first: str, prefixes: Sequence[str]) -> list[DictConfig]:
    """A config for each pair of files, if several are given at the prefix ``first``."""
    lists = [files for side in SIDES if isinstance(files := cfg.data[f"{first}{side}"], ListConfig)]
    parts = []
    for number in range(len(lists[0]) if lists else 0):
        chosen: dict[str, Any] = {}
        for name in (f"{prefix}{side}" for prefix in prefixes for side in SIDES):
            chosen[name] = given = cfg.data[name]
            if isinstance(given, ListConfig):
                if len(given) != len(lists[0]):
                    raise UserError(
                        f"data.{name} has {len(given)} files, but there are {len(lists[0])} pairs: give one for each"
                    )
                chosen[name] = given[number]
        languages = {f"{side}_lang": _ending(chosen[f"{first}{side}"]) for side in SIDES}
        parts.append(_with(cfg, **chosen, **languages))
    return parts


def _ending(file: object) -> str:
    return Path(str(file)).suffix.lstrip(".")


def _with(cfg: DictConfig, **data: object) -> DictConfig:
    changed = cfg.copy()
    for name, value in data.items():
        changed.data[name] = value
    return changed


def reverse(cfg: DictConfig) -> DictConfig | None:
    """The config of the other direction, whose preparation is the same; None where the sides are not treated alike."""
    subword = cfg.subword
    apart = subword.factors, subword.copy_slots, subword.target_kind, subword.normalize_source, subword.lossless
    if len(split_directions(cfg)) != 1 or any(apart) or cfg.data.retrieval or cfg.data.dialogues is not None:
        return None
    sides = {"source_lang": cfg.data.target_lang, "target_lang": cfg.data.source_lang}
    for prefix in PREFIXES:
        sides |= {f"{prefix}source": cfg.data[f"{prefix}target"], f"{prefix}target": cfg.data[f"{prefix}source"]}
    return _with(cfg, **sides)


def names(cfg: DictConfig) -> list[str]:
    """The directions, such as ``en-ko``, once each."""
    return list(dict.fromkeys(name(part) for part in split_directions(cfg)))


def name(part: DictConfig) -> str:
    """The direction of one corpus."""
    return f"{part.data.source_lang}-{part.data.target_lang}"


def tags(cfg: DictConfig) -> list[str]:
    """What sources begin with; nothing where there is one direction only."""
    parts = split_directions(cfg) if len(names(cfg)) > 1 else []
    return list(dict.fromkeys(tag(part.data.target_lang) for part in parts))


def tag(language: str) -> str:
    """What a source begins with that is to be written in this language."""
    return f"<2{language}>"


def tagged(text: str, language: str | None) -> str:
    """A source that is to be written in this language; None is the only one, which has no tag."""
    return text if language is None else f"{tag(language)} {text}"


def untagged(text: str) -> str:
    """A source without the tag that it begins with."""
    return text.partition(" ")[2]


def tagger(symbols: Sequence[str], to: str | None, several: bool) -> Callable[[str], str]:
    """What puts the tag before a source that has none.

    Args:
        symbols: what the model reads.
        to: the language to write; may be None if the source has its tag, or the model has none, or one.
        several: whether the model was trained on several directions.

    Raises:
        UserError: there is no such tag; and where the tagger is called, if there are several and none is given.
    """
    known = [match[1] for match in map(TAG.fullmatch, symbols) if match]
    if to is not None and to not in known:
        raise UserError(
            f"translate_to={to}: " + (f"the model writes {', '.join(known)}" if known else "the model has no such tag")
        )
    if to is None and several and len(known) == 1:
        to = known[0]

    def put(text: str) -> str:
        if text.startswith(tuple(map(tag, known))) or (to is None and not several):
            return text
        if to is None:
            raise UserError(f"say into which language: {' or '.join(f'translate_to={language}' for language in known)}")
        return tagged(text, to)

    return put


def merge(cfg: DictConfig, parts: Sequence[DictConfig], make: Callable[[DictConfig], Path], text: Path) -> Path:
    """Write several corpora as one to the folder ``text``, one after another.

    Where their directions differ sources are tagged, and ``<split>.direction`` says each one's beside what is held out.
    Training pairs of which a side is held out in any of them are left out.

    Args:
        make: writes the corpus of a part and returns its folder, alone in another one that is deleted.
    """
    made: list[tuple[DictConfig, Splits]] = []
    about: dict[str, Any] = {}
    for part in parts:
        back = reverse(part)
        splits = next((splits for other, splits in made if back is not None and other.data == back.data), None)
        if splits is None:
            folder = make(part)
            about[name(part)] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            splits = {split: _read_pairs(folder, split, part) for split in SPLITS}
            shutil.rmtree(folder.parent)
        else:
            splits = {split: [(target, source) for source, target in pairs] for split, pairs in splits.items()}
        made.append((part, splits))
    if left_out := without_leaks([splits for _, splits in made]):
        say(f"      {left_out:,} training pairs left out, of which a side is held out in some direction")
    several = bool(tags(cfg))
    whole: Splits = {split: [] for split in SPLITS}
    labels: dict[str, list[str]] = {split: [] for split in SPLITS}
    for part, splits in made:
        for split, pairs in splits.items():
            to = part.data.target_lang if several else None
            whole[split] += [(tagged(source, to), target) for source, target in pairs]
            labels[split] += [name(part)] * len(pairs)
    langs = (cfg.data.source_lang, cfg.data.target_lang)
    write_corpus(text, whole, langs, {"name": cfg.data.name, "directions": names(cfg), "corpora": about})
    for split in ("valid", "test") if several else ():
        (text / f"{split}.direction").write_text("".join(f"{label}\n" for label in labels[split]), encoding="utf-8")
    return text


def _read_pairs(folder: Path, split: str, part: DictConfig) -> list[Pair]:
    langs = (part.data.source_lang, part.data.target_lang)
    return list(zip(*(read_lines(folder / f"{split}.{lang}") for lang in langs), strict=True))


def without_leaks(corpora: Sequence[Splits]) -> int:
    """Take away training pairs of which a side is held out in any of the corpora; how many there were."""
    held_out = {match_key(text) for splits in corpora for pair in splits["valid"] + splits["test"] for text in pair}
    before = sum(len(splits["train"]) for splits in corpora)
    for splits in corpora:
        splits["train"] = [pair for pair in splits["train"] if held_out.isdisjoint(map(match_key, pair))]
    return before - sum(len(splits["train"]) for splits in corpora)
