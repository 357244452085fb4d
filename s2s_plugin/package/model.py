"""The Python API: a trained model in three lines.

>>> import s2s_plugin
>>> model = s2s_plugin.load("mine.s2s")
>>> model.translate(["Save the document."])
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import fields
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq.dataclass.configs import FairseqConfig, GenerationConfig
from omegaconf import OmegaConf
from torch import Tensor

from s2s_plugin.errors import UserError
from s2s_plugin.inference.chat import Chatbot, reply_frequency
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator
from s2s_plugin.package.archive import SUFFIX, is_package
from s2s_plugin.package.arrays import write_array
from s2s_plugin.package.exploration import Exploration, prefix_ids, signal_of
from s2s_plugin.package.hub import local_file
from s2s_plugin.package.observers import Follower, Recorder
from s2s_plugin.package.output import Output
from s2s_plugin.package.unpack import unpack_here
from s2s_plugin.search.precision import PRECISIONS
from s2s_plugin.search.state import OBSERVER
from s2s_plugin.tasks.config import DECODING_OPTIONS
from s2s_plugin.tasks.stored_config import check_config
from s2s_plugin.utils.untrusted import load_yaml

GENERATION = {field.name for field in fields(GenerationConfig)} - {"lm_path", "lm_weight", "_name"}
MAX_SEARCHES = 16  # that are kept, each with its options
FULL_BATCH_BEAM = 5  # a wider beam has smaller batches: what a search keeps of its steps grows with it
DEVICES = ("cpu", "cuda")
WINDOW = 64  # inputs of a stream that are decoded at once
Input = str | Path | np.ndarray


class Model:
    """A trained model; its methods may be called by several threads.

    Attributes:
        run: where it comes from; of a file, unpacked.
        app: such as nmt.
        modality: of the sources: text, audio, video or image.
        source_lang, target_lang: languages; of a signal, the modality.
        parameters: their number.
    """

    def __init__(self, run: RunDir, device: str = "cpu", precision: str = "fp32"):
        """Load the best checkpoint of a run; prefer :func:`load`."""
        if precision not in PRECISIONS:
            raise UserError(f"precision must be {', '.join(PRECISIONS)}, got {precision}")
        if device not in DEVICES:
            raise UserError(f"device must be {' or '.join(DEVICES)}, got {device}")
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device=cuda requires a GPU that torch can use; leave it out")
        config = load_yaml(run.config)
        if missing := {"app", "task", "generation"} - config.keys():
            raise UserError(f"{run.config}: not the config of a run: {min(missing)} is missing")
        groups = {"task": config["task"], "generation": config["generation"]}
        stored = check_config(groups, FairseqConfig, run.config)
        self.run, self.app = run, str(config.get("app"))
        self._chat, self._history = config.get("chat"), (config.get("data") or {}).get("history", 1)
        self._generation = {**stored["generation"], "lm_path": None, "print_alignment": None, "replace_unk": None}
        self._options = {name: stored["task"][name] for name in DECODING_OPTIONS if name in stored["task"]}
        self._options |= {"search_precision": precision}
        data = run.data if run.data.is_dir() else Path(stored["task"]["data"])
        self._translator = Translator(run.best_checkpoint(), self._config({}), data=data, cpu=device == "cpu")
        self._searches: OrderedDict[str, Translator] = OrderedDict()
        self._lock = threading.Lock()
        task = self._translator.task
        self.modality, self.source_lang, self.target_lang = task.modality, task.cfg.source_lang, task.cfg.target_lang
        self.parameters = sum(parameter.numel() for parameter in self._translator.models[0].parameters())

    def translate(self, inputs: Input | Sequence[Input], **options: Any) -> Any:
        """Return the best output of each input as text; of a single input, one text.

        ``options`` are those of :meth:`outputs`.
        """
        if isinstance(inputs, (str, Path, np.ndarray)):
            return self.outputs([inputs], **options)[0][0].text
        return [outputs[0].text for outputs in self.outputs(inputs, **options)]

    def outputs(
        self,
        inputs: Sequence[Input | Tensor],
        nbest: int = 1,
        attention: bool = False,
        constraints: Sequence[Sequence[str]] | None = None,
        prefix: Sequence[str | Sequence[str]] | None = None,
        rate: int | None = None,
        **options: Any,
    ) -> list[list[Output]]:
        """Return the n best outputs of each input, best first.

        Args:
            inputs: texts; or names of media files, or arrays (see :func:`s2s_plugin.package.arrays.write_array`), or
                features.
            nbest: number of outputs of each, at most the beam.
            attention: return attention weights too.
            constraints: for each text, words that its outputs must contain.
            prefix: for each input, what its outputs must begin with: a text, or a list of tokens; the rest is searched.
            rate: of arrays of samples, in Hz.
            options: of the search, such as ``beam``, ``lenpen``, ``sampling``, ``temperature``, ``seed``; the names of
                fairseq's generation options and of the task's. Default: those of the run.

        Raises:
            UserError: an input or an option cannot be used.
        """
        if isinstance(inputs, (str, Path, np.ndarray)):
            raise UserError(f"outputs requires a list of inputs, got one {type(inputs).__name__}")
        inputs = list(inputs)
        for name, each in (("constraints", constraints), ("prefix", prefix)):
            if each is not None and len(each) != len(inputs):
                raise UserError(f"expected {name} of {len(inputs)} inputs, got {len(each)}")
        if nbest < 1:
            raise UserError(f"nbest must be at least 1, got {nbest}")
        if attention:
            options["print_alignment"] = "hard"
        if constraints is not None:
            options["constraints"] = "unordered"
        translator = self._search({"nbest": nbest, **options})
        if self.modality == "text":
            lines = [self._line(text) for text in inputs]
            if constraints is not None:
                pairs = zip(lines, constraints, strict=True)
                lines = ["\t".join((line, *map(self._line, words))) for line, words in pairs]
            hypotheses = translator.candidates(lines, nbest=nbest, prefixes=prefix_ids(translator, prefix, lines))
            sources = [translator.source_tokens(line.partition("\t")[0]) for line in lines]
        else:
            if constraints is not None:
                raise UserError(f"constraints require a text model, and this one reads {self.modality}")
            signals = [self._read(each, rate) for each in inputs]
            prefixes = prefix_ids(translator, prefix, [""] * len(signals))
            hypotheses = translator.decode_all(signals, nbest, prefixes)
            sources = [[] for _ in signals]
        return [
            [Output.of(hypothesis, source) for hypothesis in each]
            for each, source in zip(hypotheses, sources, strict=True)
        ]

    def stream(self, inputs: Iterable[Input], **options: Any) -> Iterator[str]:
        """Yield the best output of each input, of any number of them, in constant memory."""
        remaining = iter(inputs)
        while window := list(islice(remaining, WINDOW)):
            yield from (outputs[0].text for outputs in self.outputs(window, **options))

    def follow(self, source: Input, seen: Callable[[str], None], **options: Any) -> list[Output]:
        """Return the outputs of one input; call ``seen`` with the best text so far after each step of the search."""
        context = copy_context()
        context.run(OBSERVER.set, Follower(self._translator.task, seen))
        return context.run(lambda: self.outputs([source], **options))[0]

    def explore(
        self,
        source: Input,
        prefix: str | Sequence[str] = (),
        alternatives: int = 8,
        rate: int | None = None,
        on_step: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> Exploration:
        """Return the outputs of one input with the search for them.

        Args:
            source: as of :meth:`outputs`.
            prefix: what the outputs must begin with: a text, or a list of tokens.
            alternatives: number of likely tokens at each place.
            rate: of an array of samples, in Hz.
            on_step: called before each step of the search; what it raises ends the search.
            options: those of :meth:`outputs`.

        Raises:
            UserError: an input or an option cannot be used.
        """
        translator = self._translator
        read: Input | Tensor = source
        signal = None
        if self.modality != "text":
            read = self._read(source, rate)
            signal = signal_of(translator, read)
        recorder = Recorder(translator.task.target_dictionary, alternatives, on_step)
        context = copy_context()
        context.run(OBSERVER.set, recorder)
        options |= {"attention": translator.attends, "prefix": [prefix]}
        (outputs,) = context.run(lambda: self.outputs([read], **options))
        recorder.mark(outputs[0].tokens)
        likeliest = [recorder.alternatives(output.tokens) for output in outputs]
        return Exploration(outputs, likeliest, recorder.lattice, signal)

    def chat(self) -> Chatbot:
        """Return a conversation with a chatbot: ``reply(turn)`` of it has text, confidence and sure.

        Raises:
            UserError: this is no chatbot, or the threshold of its confidence was never chosen.
        """
        if not self.can_chat:
            raise UserError("chat requires a chatbot that s2s export has written")
        options = OmegaConf.create(self._chat)
        translator = self._search({"beam": max(options.candidates, self._generation["beam"])})
        return Chatbot(translator, options, self._history, self._reply_frequency)

    @cached_property
    def _reply_frequency(self) -> Mapping[str, int]:
        return reply_frequency(self._translator)

    @property
    def can_chat(self) -> bool:
        """Return whether :meth:`chat` can hold a conversation."""
        return self.app == "chatbot" and (self._chat or {}).get("threshold") is not None

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the options of the search, fairseq's and the task's, that the run decodes with."""
        return {**self._generation, **self._options}

    @property
    def task(self) -> Any:
        """Return the config of the task: languages and folder of the data."""
        return self._translator.task.cfg

    def _search(self, options: Mapping[str, Any]) -> Translator:
        """Return the translator with these options; one for each set of them."""
        key = repr(sorted(options.items()))
        with self._lock:
            if key not in self._searches:
                task = self._options | {name: value for name, value in options.items() if name in DECODING_OPTIONS}
                config = self._config(options)
                self._searches[key] = self._translator.with_search(config, task)
                full = self._translator.max_tokens * FULL_BATCH_BEAM
                self._searches[key].max_tokens = full // max(FULL_BATCH_BEAM, config.beam)
                if len(self._searches) > MAX_SEARCHES:
                    self._searches.popitem(last=False)
            self._searches.move_to_end(key)
            return self._searches[key]

    def _config(self, options: Mapping[str, Any]) -> Any:
        """Return fairseq's generation config of the run, with these options."""
        known = GENERATION | set(DECODING_OPTIONS)
        for name in sorted(options.keys() - known):
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else "see GenerationConfig of fairseq"
            raise UserError(f"{name} is no option of the search; {hint}")
        changed = {name: value for name, value in options.items() if name in GENERATION}
        values = {"generation": {**self._generation, **changed}}
        return OmegaConf.create(check_config(values, FairseqConfig, "options")["generation"])

    def _line(self, text: Input | Tensor) -> str:
        if not isinstance(text, str):
            raise UserError(f"this model reads text, got a {type(text).__name__}")
        return text.removesuffix("\n").replace("\t", " ")  # a tab would begin a constraint

    def _read(self, source: Input | Tensor, rate: int | None) -> Tensor:
        if isinstance(source, Tensor):
            return source
        read = self._translator.task.loader.read_signal
        if not isinstance(source, np.ndarray):
            return read(Path(source))
        with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
            return read(write_array(source, self.modality, rate, Path(folder)))


def load(path: str | Path, device: str = "cpu", precision: str = "fp32") -> Model:
    """Load a trained model.

    Args:
        path: a file made by ``s2s export``, the folder of a run, or ``hf:OWNER/NAME`` of the Hugging Face hub.
        device: cpu or cuda.
        precision: of the decoder's matrix products: fp32, bf16 or int8; int8 on a CPU.

    Raises:
        UserError: there is no such model, or it is damaged.
    """
    logger = logging.getLogger("s2s_plugin")
    if logger.level == logging.NOTSET:  # fairseq sets all logging to DEBUG
        logger.setLevel(logging.WARNING)
    path = local_file(path)
    if not (is_package(path) or RunDir(path).config.is_file()):
        raise UserError(f"{path}: a model is a file that ends with {SUFFIX}, or the folder of a run")
    return Model(unpack_here(path) if is_package(path) else RunDir(path), device, precision)
