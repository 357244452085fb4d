"""Config errors in one line, with the nearest valid name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.cli.config import compose_named, config_folders
from s2s_plugin.errors import UserError
from s2s_plugin.stages.schema import choices
from s2s_plugin.utils.paths import CONF

TABLES = ("csv", "tsv", "json", "jsonl", "parquet", "arrow")
RULES = {  # what a value must be, by OmegaConf's message about it
    r"Value '(.*)' of type '\w+' could not be converted to Integer": "an integer",
    r"Value '(.*)' of type '\w+' could not be converted to Float": "a number",
    r"Value '(.*)' is not a valid bool": "true or false",
    r"Invalid value '(.*)', expected one of \[(.*)\]": r"one of \2",
    r"Invalid value assigned: (\w+) is not a ListConfig": "a list in brackets",
}
NOT_SUGGESTED = ("bmuf", "common_eval", "distributed_training", "eval_lm", "interactive")  # groups nobody means

OWN_MESSAGE = "UserError raised while resolving interpolation: "


def explain(error: Exception, stage: str, overrides: Sequence[str] = ()) -> str:
    """Return a config error in one line, with the nearest valid name where a name is wrong."""
    cause, folders = error.__cause__ or error, config_folders(overrides)
    text = f"{error}\n{cause}"
    if isinstance(error, OverrideParseException):
        return f"options must be key=value, lists key=[a,b], got {error.override}"
    if missing := re.search(r"You must specify '(\w+)'", text):
        return f"s2s {stage} requires {missing[1]}=NAME, one of {', '.join(choices(missing[1], folders))}"
    if wrong := re.search(r"Could not override '([\w.]+)'", text):
        return f"there is no option {wrong[1]}{did_you_mean_option(wrong[1], overrides)}; see s2s {stage} --help"
    key = getattr(cause, "full_key", None)
    for pattern, rule in RULES.items():
        if value := re.search(pattern, text):
            return f"{key} must be {value.expand(rule)}, got {value[1] or 'nothing'}"
    text = str(cause).splitlines()[0]
    if text.startswith(OWN_MESSAGE):  # it says what is wrong with which file
        return text.removeprefix(OWN_MESSAGE)
    return f"{text} (at {key})" if key and key not in text else text


def check_choices(overrides: Sequence[str]) -> None:
    """Raise UserError if a group has no such choice; Hydra would not say so of an experiment, which is optional."""
    folders = config_folders(overrides)
    for group, _, names in (word.partition("=") for word in overrides):
        known = choices(group, folders)
        for name in names.split(",") if known else ():
            if group == "data" and name in TABLES:
                raise UserError(
                    f"there is no data={name}; for a table: data=files data.pairs=my.{name}, see docs/data.md"
                )
            if re.fullmatch(r"[\w.-]+", name) and name not in known:
                there_are = f"there are: {', '.join(known)}"
                raise UserError(f"there is no {group}={name}{did_you_mean(name, known)}; {there_are}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a clause with the nearest name, or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def did_you_mean_option(wrong: str, overrides: Sequence[str]) -> str:
    """Return a clause with the option of the config that is nearest to ``wrong``, or nothing."""
    try:
        cfg = compose_named(overrides)
    except Exception:  # the app is wrong as well: that is for another message
        return ""
    similar = {key: _similarity(wrong, key) for key in [*_options(cfg), *(path.name for path in CONF.iterdir())]}
    best = max(similar, key=lambda key: similar[key])
    return f" (did you mean {best}?)" if similar[best] > 0.7 else ""


def _options(cfg: DictConfig) -> Iterable[str]:
    for group in map(str, cfg):
        node = cfg._get_node(group)
        if not isinstance(node, DictConfig):
            yield group
        elif group not in NOT_SUGGESTED:
            yield from (f"{group}.{name}" for name in map(str, node) if not OmegaConf.is_interpolation(node, name))


def _similarity(wrong: str, key: str) -> float:
    """Compare the names of two options, as a whole and word by word; the same group is a small advantage."""
    (group, _, name), (their_group, _, theirs) = wrong.rpartition("."), key.rpartition(".")
    whole = difflib.SequenceMatcher(None, name, theirs).ratio()
    part = max(difflib.SequenceMatcher(None, name, word).ratio() for word in theirs.split("_"))
    return max(whole, 0.9 * part) + (0.3 if group and group == their_group else 0) - len(theirs) / 1000
