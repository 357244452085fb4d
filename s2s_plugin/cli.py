"""``s2s STAGE app=APP [key=value ...]``: the command line."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import re
import sys
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.utils import interrupt

USAGE = """\
usage: s2s STAGE app=APP [key=value ...]

stages
  prepare     corpus -> subwords -> binary files in data-bin/
  train       train, or continue where training stopped
  generate    the test set through beam search
  score       the app's metrics, with signatures, beside trivial baselines
  report      report.html: curves, scores, examples, attention
  run         all of these; what is done is not done again
  translate   lines from standard input, as they come, with the run's model
  chat        a conversation in the terminal, with the run's model
  transcribe, lipread, caption FILE ...
              recordings, videos, pictures or folders of them, with the run's model
  pronounce WORD ...
              words, with the run's model
  import-lstm CHECKPOINT [OUT]
              a checkpoint of fairseq's own lstm as one of ours
  average CHECKPOINT ... --to FILE
              the mean of their weights as a checkpoint
  compare RUN RUN ...
              runs over the same test set: all metrics, with intervals and a paired test

examples
  s2s run app=nmt                                       the default data and model
  s2s run app=nmt name=mine data=files data.source=my.en data.target=my.de
  s2s run app=nmt name=wide model.decoder_hidden_size=768
  s2s run app=nmt name=tuned finetune_from=default data=files data.source=my.en data.target=my.de
  s2s run -m app=nmt model.dropout=0.1,0.3              two runs
  s2s translate app=nmt name=mine
  s2s compare runs/nmt/mine runs/nmt/wide
  s2s run app=asr                                       speech recognition; likewise lipread, caption
  s2s transcribe my.wav app=asr
  s2s run app=summarize                                 summaries; then: s2s translate app=summarize < texts
  s2s run app=chatbot                                   small talk; then: s2s chat app=chatbot
  s2s run app=g2p                                       pronunciations; then: s2s pronounce hello world

Everything under conf/ can be set: groups as data=multi30k hardware=gpu search=greedy model=tiny,
values as model.dropout=0.2 optimization.max_update=3000 generation.beam=10 verbose=true.
s2s run app=nmt --cfg job shows the whole config.
"""

# Stages that take files or words, and their app unless another is named.
ON_HAND = {"transcribe": "asr", "lipread": "lipread", "caption": "caption", "pronounce": "g2p"}
TOOLS = ("import-lstm", "average", "compare")  # for files, without a run
LASTING = ("prepare", "train", "generate", "score", "report", "run")  # the same command continues them
STAGES = (*LASTING, "translate", "chat", *ON_HAND)


def main(argv: list[str] | None = None) -> int:
    """Run a stage. Returns the exit code: 0, 2 for a mistake of the user's, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    stage, overrides, files = arguments[0], arguments[1:], []
    interrupt.listen()
    try:
        if stage in TOOLS:
            return importlib.import_module(f"s2s_plugin.stages.{stage.replace('-', '_')}").run(overrides)
        if stage not in STAGES:
            raise UserError(f"there is no stage '{stage}'{_meant(stage, (*STAGES, *TOOLS))}; see s2s --help")
        if stage in ON_HAND:
            files = [word for word in overrides if not ("=" in word or word.startswith("-")) or _is_there(word)]
            overrides = [word for word in overrides if word not in files]
            if not any(word.startswith(("app=", "experiment=")) for word in overrides):
                overrides = [f"app={ON_HAND[stage]}", *overrides]
        return _run(stage, overrides, files)
    except UserError as error:
        return _say_mistake(error)
    except KeyboardInterrupt:
        again = "; the same command continues" if stage in LASTING else ""
        print(f"\ns2s: interrupted{again}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _unread()


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # longer than any name
        return False


def _run(stage: str, overrides: list[str], files: list[str]) -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing and leaving
    verbose = any(word.lower() in ("verbose=true", "verbose=1") for word in overrides)
    if not verbose:
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    from s2s_plugin.utils.console import route_logs

    route_logs(None, verbose)

    import hydra
    import torch
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from s2s_plugin.stages import runner as stages
    from s2s_plugin.stages import schema as config

    config.register()
    if not any(word.startswith("hardware=") for word in overrides) and torch.cuda.is_available():
        overrides = ["hardware=gpu", *overrides]

    failed: list[int] = []
    begun = False

    @hydra.main(version_base="1.3", config_path=str(config.CONF), config_name="s2s")
    def hydra_main(cfg: DictConfig):
        nonlocal begun
        begun = True
        try:
            return stages.run(stage, cfg, files)
        except (UserError, OmegaConfBaseException) as error:  # Hydra would print a heading of its own
            failed.append(_say_mistake(error))
            return None
        except BrokenPipeError:
            failed.append(_unread())
            return None
        finally:
            with contextlib.suppress(OSError):  # Hydra has made the run's folder; leave none that is empty
                Path(HydraConfig.get().runtime.output_dir).rmdir()

    sys.argv = ["s2s", *overrides]
    try:
        hydra_main()
    except (HydraException, OmegaConfBaseException) as error:
        failed.append(_say_mistake(error))
    except OSError as error:
        if begun:
            raise
        # Hydra could not make the run's folder
        raise UserError(f"{error.filename}: cannot be written ({error.strerror}); set run_dir=FOLDER") from None
    return max(failed, default=0)


def _unread() -> int:
    """Nobody reads our output any more, nor shall Python complain of that; the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _say_mistake(error: Exception) -> int:
    """Print it in one line; the exit code."""
    print(f"s2s: error: {error if isinstance(error, UserError) else explain(error)}", file=sys.stderr)
    return 2


def explain(error: Exception) -> str:
    """A config error in one line, with the nearest valid name where a name is wrong."""
    from s2s_plugin.stages import schema as config

    message = str(error.__cause__ or error) if "Could not override" not in str(error) else str(error)
    key = getattr(error.__cause__ or error, "key", None)
    full_key = getattr(error.__cause__ or error, "full_key", None)
    kind = getattr(error.__cause__ or error, "object_type", None)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    lines = [
        line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=", "To append"))
    ]
    text = ". ".join(lines).removeprefix("UserError raised while resolving interpolation: ")
    if isinstance(key, str) and kind is not None and hasattr(kind, "__dataclass_fields__"):
        text += _meant(key, tuple(kind.__dataclass_fields__))
    elif missing := re.search(r"Could not find '(\w+)/(\w+)'", text):
        group, choice = missing.groups()
        known = config.choices(group)
        text = f"there is no {group}={choice}{_meant(choice, known)}; there are: {', '.join(known)}"
    elif full_key and str(full_key) not in text:
        text += f" (at {full_key})"
    return text


def _meant(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


if __name__ == "__main__":
    sys.exit(main())
