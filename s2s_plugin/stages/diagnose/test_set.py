"""The test set that a packaged model is diagnosed on: the user's own."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from s2s_plugin.corpora.directions import tagger
from s2s_plugin.corpora.parallel import read_files
from s2s_plugin.datasets.manifest import read_manifest
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator, load_translator
from s2s_plugin.report.run import Output

REQUIRED = {
    "text": "data.test_source=FILE data.test_target=FILE, or data.test_pairs=TABLE",
    "signal": "data.test_manifest=FILE",
}


def decode_test_set(cfg: DictConfig, run: RunDir) -> list[Output]:
    """Decode ``data.test_source`` and ``data.test_target``, ``data.test_pairs`` or, of signals, ``data.test_manifest``.

    Raises:
        UserError: none of them is set, or one is unusable.
    """
    translator = load_translator(cfg, run)
    is_text = translator.task.modality == "text"
    data = cfg.data
    files = [name for name in (data.test_pairs, data.test_source, data.test_target) if name is not None]
    if is_text and files:
        return _decode_texts(translator, cfg, files)
    if not is_text and data.test_manifest is not None:
        return _decode_signals(translator, Path(data.test_manifest))
    required = REQUIRED["text" if is_text else "signal"]
    raise UserError(f"s2s diagnose of a packaged model requires a test set: {required}")


def _decode_texts(translator: Translator, cfg: DictConfig, files: list[str]) -> list[Output]:
    task = translator.task
    several = "+" in f"{task.cfg.source_lang}{task.cfg.target_lang}"
    add_tag = tagger(task.source_dictionary.symbols, cfg.translate_to, several)
    pairs = [(add_tag(source), target) for source, target in read_files(cfg, files)]
    hypotheses = translator.translate([source for source, _ in pairs])
    return [
        Output(number, hypothesis.text, target, source, hypothesis.score)
        for number, (hypothesis, (source, target)) in enumerate(zip(hypotheses, pairs, strict=True))
    ]


def _decode_signals(translator: Translator, manifest: Path) -> list[Output]:
    _, items = read_manifest(manifest, own=True)
    signals = [translator.task.loader.read_signal(item.path) for item in items]
    return [
        Output(
            number,
            hypothesis.text,
            list(item.texts),
            score=hypothesis.score,
            length=len(signal),
            item=item.id,
            media=str(item.path),
        )
        for number, (item, signal, hypothesis) in enumerate(
            zip(items, signals, translator.decode(signals), strict=True)
        )
    ]
