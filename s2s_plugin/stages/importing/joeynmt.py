"""``s2s import-joeynmt RUN``: convert a recurrent model of JoeyNMT (1.x and 2.x) to one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2s_plugin.errors import UserError
from s2s_plugin.models.peers.joeynmt import convert_joeynmt
from s2s_plugin.models.peers.parts import Imported, Special
from s2s_plugin.stages.importing.checkpoint import explain, load_foreign, parse, weights_of, write_imported
from s2s_plugin.utils.io import read_lines
from s2s_plugin.utils.untrusted import load_yaml, require_file, show

CHECKPOINTS = ("best.ckpt", "latest.ckpt")
VOCABULARIES = ("src_vocab.txt", "trg_vocab.txt")


def run(words: Sequence[str]) -> int:
    """Run ``s2s import-joeynmt``."""
    source, out = parse("s2s import-joeynmt", words, "RUN", __doc__)
    write_imported(read_joeynmt(source), out)
    print(explain(out))
    return 0


def read_joeynmt(folder: Path) -> Imported:
    """Return the best model of a folder of JoeyNMT, which has config.yaml and the vocabularies, as ours.

    Raises:
        UserError: it is no such folder, or the model has a part that ours lacks.
    """
    config: dict[str, Any] = load_yaml(folder / "config.yaml")
    path = next((folder / name for name in CHECKPOINTS if (folder / name).is_file()), folder / CHECKPOINTS[0])
    state = load_foreign(path)
    vocabularies = [folder / name for name in VOCABULARIES]
    for vocabulary in vocabularies:
        require_file(vocabulary, "vocabulary")
    try:
        source, target = ([line for line in read_lines(vocabulary) if line] for vocabulary in vocabularies)
        weights = weights_of(state["model_state"], path)
        return convert_joeynmt(weights, config["model"], _special(config), source, target)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"{folder}: not a recurrent model of JoeyNMT ({show(str(error))}); name another") from None


def _special(config: dict[str, Any]) -> Special:
    names = (config.get("data") or {}).get("special_symbols") or {}
    defaults = Special()._asdict()
    return Special(**{name: str(names.get(f"{name}_token", default)) for name, default in defaults.items()})
