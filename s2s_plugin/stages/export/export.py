"""Write a trained run as one file that needs neither the data nor the folder of the run."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

import s2s_plugin
from s2s_plugin.datasets.manifest import MODALITIES
from s2s_plugin.errors import UserError
from s2s_plugin.inference.chat import open_chat
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.package.archive import CARD, CHECKPOINT, CONFIG, EXAMPLES, SUFFIX, WEIGHTS, is_package, write_package
from s2s_plugin.package.unpack import DATA, unpack_here
from s2s_plugin.package.weights import PRECISIONS, pack_weights
from s2s_plugin.stages.export.card import model_card
from s2s_plugin.stages.export.examples import make_examples, pick_examples, read_examples
from s2s_plugin.stages.export.onnx.folder import export_onnx
from s2s_plugin.stages.export.web import SUFFIX as PAGE_SUFFIX
from s2s_plugin.stages.export.web import write_page
from s2s_plugin.stages.schema import load_config
from s2s_plugin.tasks.checkpoint import load_checkpoint
from s2s_plugin.utils.console import route_logs, say
from s2s_plugin.utils.digests import DIGESTS, check_folder
from s2s_plugin.utils.paths import PACKAGE

HELD_OUT = ("test.", "valid.")
KEPT = ("app", "name", "task", "generation", "model", "output_parser", "chat", "subword", "audio", "video", "image")
NO_VECTOR_FILES = {"encoder_embed_path": "", "decoder_embed_path": ""}
DATA_INSIDE = {"data": "data", "shortlist": 0, "knn": None}
KEPT_DATA = ("name", "source_lang", "target_lang", "history", "retrieval", "shared_targets")  # no paths of this machine


def run(words: Sequence[str]) -> int:
    """Run ``s2s export``."""
    parser = argparse.ArgumentParser("s2s export", description=__doc__)
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="folder of a run, such as runs/nmt/default; with --web also a packaged model",
    )
    parser.add_argument("--to", type=Path, metavar="FILE.s2s", help="file to write; default: APP-NAME.s2s")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the stored weights")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="ten lines to store, not ten of the test set")
    parser.add_argument("--onnx", type=Path, metavar="DIR", help="write ONNX graphs and an example instead")
    parser.add_argument("--web", type=Path, metavar="PAGE.html", help="write a page in which the model runs instead")
    options = parser.parse_args(words)
    if options.web is not None:
        if options.to is not None or options.onnx is not None:
            raise UserError("--web, --to and --onnx are mutually exclusive")
        _check_new(options.web, "--web", PAGE_SUFFIX)
        _export_page(options.run, options.web)
        print(f"{options.web}: {options.web.stat().st_size / 1e6:.1f} MB; open it in a browser")
        return 0
    of_package = options.onnx is not None and is_package(options.run)
    run_dir = unpack_here(options.run) if of_package else _open(options.run)
    if options.onnx is not None:
        route_logs(None, verbose=False)
        export_onnx(run_dir, options.onnx, options.precision)
        print(f"{options.onnx}: python {options.onnx / 'translate.py'} decodes with it")
        return 0
    cfg = load_config(run_dir.config)
    path = options.to or Path(f"{cfg.app}-{cfg.name}{SUFFIX}")
    _check_new(path, "--to", SUFFIX)
    export(run_dir, cfg, path, options.precision, options.examples)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; s2s verify {path} checks it")
    return 0


def _open(folder: Path) -> RunDir:
    run_dir = RunDir(folder)
    if not run_dir.config.is_file():
        raise UserError(f"{folder}: not the folder of a run such as runs/nmt/default")
    return run_dir


def _check_new(path: Path, option: str, suffix: str) -> None:
    if path.suffix != suffix:
        raise UserError(f"{option} must end with {suffix}, got {path}")
    if path.exists():
        raise UserError(f"{path} exists: name another file, or delete it")


def _export_page(source: Path, path: Path) -> None:
    """Write the page of a packaged model or of a run."""
    if is_package(source):
        write_page(source, path)
        return
    run_dir = _open(source)
    cfg = load_config(run_dir.config)
    with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
        package = Path(folder) / f"{cfg.app}-{cfg.name}{SUFFIX}"
        export(run_dir, cfg, package, "int8")
        write_page(package, path)


def export(run_dir: RunDir, cfg: DictConfig, path: Path, precision: str = "fp32", inputs: Path | None = None) -> None:
    """Write the packaged model of a run, with examples that it has decoded itself.

    Args:
        run_dir: the run.
        cfg: of the run.
        path: file to write.
        precision: of the weights.
        inputs: file of examples, a line each; None: some of the test set.

    Raises:
        UserError: the run is not finished, or damaged.
    """
    if not run_dir.data.is_dir():
        raise UserError(f"{run_dir.data}: no such folder; s2s generate app={cfg.app} name={cfg.name} makes it")
    check_folder(run_dir.data)
    if cfg.app == "chatbot":
        cfg.task.data, cfg.common.cpu = str(run_dir.data), True
        cfg.chat.threshold = open_chat(cfg.copy(), run_dir).options.threshold
    state = load_checkpoint(run_dir.best_checkpoint())
    model, task = state["cfg"]["model"], state["cfg"]["task"]
    stored = {"model": model | NO_VECTOR_FILES, "task": task | DATA_INSIDE}
    updates = (state["optimizer_history"] or [{}])[-1].get("num_updates", 0)
    members = {
        CONFIG: yaml.safe_dump(_config(cfg), allow_unicode=True, sort_keys=False).encode(),
        CHECKPOINT: json.dumps({**stored, "updates": updates}, indent=1).encode(),
        WEIGHTS: pack_weights(state["model"], precision),
        **{DATA + name: file.read_bytes() for name, file in _data_files(run_dir.data)},
    }
    languages = [str(cfg.data.source_lang), str(cfg.data.target_lang)]
    about: dict[str, Any] = {"version": s2s_plugin.__version__, "app": cfg.app, "precision": precision}
    about |= {"modality": languages[0] if languages[0] in MODALITIES else "text", "languages": languages}
    items = pick_examples(run_dir) if inputs is None else read_examples(inputs)
    with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
        draft = Path(folder) / f"draft{SUFFIX}"
        write_package(draft, {**members, EXAMPLES: b"[]"}, about)
        say(f"      decoding {len(items)} examples with it")
        examples, media = make_examples(draft, items)
    card = model_card(run_dir, cfg, about, examples, members[WEIGHTS])
    final = {**members, EXAMPLES: json.dumps(examples, ensure_ascii=False, indent=1).encode(), CARD: card.encode()}
    write_package(path, final | media, about)


def _config(cfg: DictConfig) -> dict[str, Any]:
    """Return what is needed of the config, without the places of files on this machine."""
    plain = OmegaConf.to_container(cfg, enum_to_str=True)
    assert isinstance(plain, dict)
    kept = {key: plain[key] for key in KEPT if key in plain}
    kept["data"] = {key: plain["data"][key] for key in KEPT_DATA if key in plain["data"]}
    kept["task"], kept["model"] = plain["task"] | DATA_INSIDE, plain["model"] | NO_VECTOR_FILES
    kept["generation"] = {**plain["generation"], "lm_path": None}
    kept["subword"] = {**plain["subword"], "from_dir": None}
    own = Path(plain["common"].get("user_dir") or PACKAGE)
    if own.name != PACKAGE.name:
        kept["common"] = {"user_dir": own.name}
    return kept


def _data_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files that decoding reads, and their names; a chatbot counts its training replies."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        unused = path.suffix in (".pt", ".vocab") or path.name == DIGESTS or name.startswith("pieces/")
        if path.is_file() and not unused and not path.name.startswith(HELD_OUT):
            yield name, path
