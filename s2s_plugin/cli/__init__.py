"""``s2s STAGE app=APP [key=value ...]``: the command line."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import hydra
import torch
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import s2s_plugin
from s2s_plugin.cli import listing
from s2s_plugin.cli.commands import COMMANDS
from s2s_plugin.cli.config import compose_named, imply_data, join_config_dir, names_app
from s2s_plugin.cli.failures import explain_failure
from s2s_plugin.cli.help import outline, stage_help
from s2s_plugin.cli.overrides import quote_overrides
from s2s_plugin.cli.packages import run_overrides, use_packages
from s2s_plugin.cli.streams import broken_pipe, check_output, prepare_streams
from s2s_plugin.cli.suggest import check_choices, did_you_mean, explain
from s2s_plugin.errors import UserError
from s2s_plugin.stages import runner, schema
from s2s_plugin.stages.check.data_options import overrides_of
from s2s_plugin.tasks.user_dir import import_named
from s2s_plugin.utils import interrupt
from s2s_plugin.utils.console import guard_terminal, route_logs, say
from s2s_plugin.utils.paths import CONF, existing_form

# Stages that take files or words, and their app unless another is named.
FILE_COMMANDS = {"transcribe": "asr", "lipread": "lipread", "caption": "caption", "pronounce": "g2p",
                 "attention": "nmt", "explain": "nmt"}  # fmt: skip
TOOLS = {"import-lstm": "stages.importing.lstm", "import-opennmt": "stages.importing.opennmt",
         "import-joeynmt": "stages.importing.joeynmt", "average": "stages.average", "compare": "stages.compare",
         "export": "stages.export.export", "verify": "stages.export.verify", "push": "stages.export.push",
         "serve": "server.serve", "demo": "server.demo", "live": "live.serve",
         "list": "cli.listing", "annotate": "cli.annotate"}  # need no config  # fmt: skip
USER_DIR = "common.user_dir="  # known before the config is composed, which may have parts that it registers
KEY_VALUE = re.compile(r"[^\s=]+=")  # key=value; in a sentence, a space comes before any "="
RESUMABLE = (
    "prepare",
    "train",
    "generate",
    "score",
    "report",
    "run",
    "backtranslate",
)  # the same command continues them


def main(argv: list[str] | None = None) -> int:
    """Run a stage; return the exit code: 0, 2 for a mistake of the user, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    closed = prepare_streams()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(outline(), end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"s2s {s2s_plugin.__version__}")
        return 0
    interrupt.listen()
    guard_terminal()
    stage, *words = arguments
    try:
        return _dispatch(stage, words, closed)
    except KeyboardInterrupt:
        hint = "; the same command continues" if stage in RESUMABLE else ""
        print(f"\ns2s: interrupted{hint}", file=sys.stderr)
        return 130
    except Exception as error:
        return _report(error, stage)


def _dispatch(stage: str, words: list[str], closed: Collection[str]) -> int:
    """Run a command; ``closed``: the standard streams that are."""
    if stage in ("-sc", "--shell-completion"):
        return complete(words)
    if stage not in COMMANDS:
        raise UserError(f"there is no stage '{stage}'{did_you_mean(stage, COMMANDS)}; see s2s --help")
    named = [word for word in words if word.startswith(USER_DIR)]
    for word in named:
        import_named(folder if (folder := word.removeprefix(USER_DIR)) != "null" else None)
    words = join_config_dir(words)
    if "-h" in words or "--help" in words:
        return _show_help(stage, words)
    if stage in TOOLS:
        words = [word for word in words if word not in named]
        check_output(stage, closed, has_inputs=True)
        return importlib.import_module(f"s2s_plugin.{TOOLS[stage]}").run(list(map(existing_form, words)))
    overrides, files = _overrides_and_files(stage, use_packages(stage, words))
    check_output(stage, closed, bool(files))
    check_choices(overrides)
    return _run(stage, quote_overrides(imply_data(overrides)), list(map(existing_form, files)))


def _overrides_and_files(stage: str, words: list[str]) -> tuple[list[str], list[str]]:
    """Split the words after a stage; only some stages take files, words or sentences."""
    if stage == "diagnose":
        return [each for word in words for each in (run_overrides(Path(word)) if Path(word).is_dir() else [word])], []
    if stage not in (*FILE_COMMANDS, "translate", "datastore", "backtranslate", "check"):
        return words, []
    files = [
        word
        for word in words
        if not (KEY_VALUE.match(word) or word.startswith("-")) or os.path.exists(word)  # noqa: PTH110 (takes any length)
    ]
    overrides = [word for word in words if word not in files]
    if stage == "check":  # has no run, whose folder Hydra would make
        app = [] if names_app(overrides) else ["app=nmt"]
        return [*app, "hydra.run.dir=.", *overrides_of(files, overrides), *overrides], []
    default_app = [] if names_app(overrides) or stage not in FILE_COMMANDS else [f"app={FILE_COMMANDS[stage]}"]
    return default_app + overrides, files


def _run(stage: str, overrides: list[str], files: list[str]) -> int:
    """Compose the config by Hydra and run the stage; return the exit code."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing and leaving
    verbose = "verbose=true" in overrides
    if not verbose:
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    route_logs(None, verbose)
    schema.register()
    implied = []
    if not any(word.startswith("hardware=") for word in overrides) and torch.cuda.is_available():
        implied = ["hardware"]
        overrides = ["hardware=gpu", *overrides]

    failed: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="s2s")
    def hydra_main(cfg: DictConfig):
        try:
            return runner.run(stage, cfg, files, implied)
        except Exception as error:  # Hydra would print a heading of its own
            failed.append(_report(error, stage))
            return None
        finally:
            folder = Path(HydraConfig.get().runtime.output_dir)
            with contextlib.suppress(OSError):  # Hydra has made the run's folder; leave none that is empty
                if folder != Path.cwd():  # of a command without a run
                    folder.rmdir()

    # Hydra composes the config once more only to look for it there.
    Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    sys.argv = ["s2s", *overrides]
    try:
        hydra_main()
    except Exception as error:
        failed.append(_report(error, stage, overrides))
    return max(failed, default=0)


def _show_help(stage: str, words: Sequence[str]) -> int:
    app = {**FILE_COMMANDS, "chat": "chatbot"}.get(stage, "nmt")
    cfg = compose_named(words, app) if COMMANDS[stage].options else None
    print(stage_help(stage, cfg), end="")
    return 0


def complete(words: list[str]) -> int:
    """Install Hydra's shell completion, or answer its query; stages are ours, groups and options are Hydra's."""
    if not any(word.startswith(("install=", "uninstall=", "query=")) for word in words):
        raise UserError(f"-sc must be followed by install=SHELL or uninstall=SHELL, got {' '.join(words)}")
    line = os.environ.get("COMP_LINE", "")
    if any(word.startswith("query=") for word in words):
        _, *typed = _words_of(line)
        if len(typed) < 2 or typed[0] in TOOLS:
            choices = listing.TOPICS if typed[:1] == ["list"] else COMMANDS if len(typed) < 2 else ()
            print(" ".join(choice for choice in choices if choice.startswith(typed[-1] if typed else "")))
            return 0
        overrides = [word for word in typed[1:-1] if (CONF / word.partition("=")[0]).is_dir()]  # values do not matter
        app = [] if names_app(overrides) else [f"app={FILE_COMMANDS.get(typed[0], 'nmt')}"]
        os.environ["COMP_LINE"] = " ".join(["s2s", *app, *overrides, typed[-1]])
    return _run("", ["-sc", *words], [])


def _words_of(line: str) -> list[str]:
    """Split a command line that is being typed, up to an open quotation mark; the last word may be empty."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return [*words, *([""] if line.endswith(" ") else [])]


def _report(error: Exception, stage: str, overrides: Sequence[str] = ()) -> int:
    """Print a mistake of the user, or what the machine ran out of, in one line; return the exit code.

    Raise any other error again.
    """
    if isinstance(error, BrokenPipeError):
        return broken_pipe(stage)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        message: str | None = explain(error, stage, overrides)
    else:
        message = str(error) if isinstance(error, UserError) else explain_failure(error)
    if message is None:
        raise error
    say(f"s2s: error: {message}")
    return 2
