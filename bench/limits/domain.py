"""Domain expansion: what a translator loses in other domains, what brings it there, and what it forgets on the way.

make limit-domain
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from common import ROOT, call, cost, prepare
from omegaconf import OmegaConf

from limits import lab
from s2s_plugin.text.retrieval import last_turn

LAB = "domain"
COMMON = f"app=nmt workers=1 baselines=[] metrics=[s2s_bleu] {lab.NARROW} model.dropout=0.1"
TRANSLATOR = f"{COMMON} optimization.max_update=1000"
DOMAINS = {
    "help": f"{TRANSLATOR} data=libreoffice_help",
    "descriptions": f"{TRANSLATOR} data=translated_descriptions",
    "stories": f"{TRANSLATOR} data=catalogs data.name=stories",
    "dictionary": f"{TRANSLATOR} data=ding",
}
OLD, NEW = "help", "interface"
NEW_DATA = f"{COMMON} data=catalogs data.name=interface +data.options.packages=libreoffice-l10n-de"
TAGS = {OLD: "general:", NEW: "interface:"}  # of letters that the vocabulary of the old domain knows
REVERSE = f"{DOMAINS[OLD]} data.source_lang=de data.target_lang=en"
OTHER = f"workers=1 baselines=[] {lab.NARROW} optimization.max_update=800"
TUNING = (
    "optimization.lr=[0.001] optimization.max_update=300 ema.ema_start_update=100 dataset.validate_interval_updates=150"
)
CHAT = f"app=chatbot {OTHER}"
TASKS = {
    "translation": DOMAINS[OLD],
    "summarization": f"app=summarize {OTHER}",
    "code": f"app=code {OTHER}",
    "chat, history": f"{CHAT} data.retrieval=false",
    "chat, history and retrieval": CHAT,
}
SOURCES = {  # of s2s diagnose, and what they are called here
    "own": "own source",
    "own, words shuffled": "its words shuffled",
    "another item's": "another source",
    "none": "no source",
}
METRIC = "BLEU (sacreBLEU, 13a)"
SPLIT = "test sets of the recipes"
DATA = (
    "LibreOffice help; descriptions of Debian's packages; stories of Wesnoth; sentences and phrases of Ding; English "
    "to German"
)


def matrix(options: argparse.Namespace) -> dict[str, Any]:
    """Train in each domain, and test in each."""
    runs = lab.train(LAB, DOMAINS, options)
    sets = {name: _text(folders[0], "test") for name, folders in runs.items()}

    def row(trained: str) -> dict[str, Any]:
        scores = {f"on {tested}": [bleu(folder, *files) for folder in runs[trained]] for tested, files in sets.items()}
        return {"trained in": trained, **scores}

    recipe = lab.recipe(runs, data=DATA, split=SPLIT, metric=METRIC)
    plot = {"title": "BLEU by domain of training and of test", "x": "tested", "y": "BLEU", "bars": True}
    return {"rows": lab.each(row, runs, options), "recipe": recipe, "plot": plot}


def adaptation(options: argparse.Namespace) -> dict[str, Any]:
    """Bring the model of one domain to another in five ways; score both domains."""
    seeds = range(1, options.seeds + 1)
    with ThreadPoolExecutor(options.jobs) as pool:
        synthetic = pool.submit(_backtranslate)
        list(pool.map(_old, seeds))
        measured = list(pool.map(partial(_adapt, synthetic=synthetic.result()), seeds))
    names = list(measured[0])
    rows = []
    for name in names:
        new, old = ([each[name][place] for each in measured] for place in (0, 1))
        before = [each[names[0]] for each in measured]
        rows.append({
            "model": name, f"on {NEW}": new, "gain": [a - b[0] for a, b in zip(new, before, strict=True)],
            f"on {OLD}": old, "change": [a - b[1] for a, b in zip(old, before, strict=True)],
        })  # fmt: skip
    runs = [folder for seed in seeds for folder in sorted((lab.RUNS / LAB).glob(f"to-{NEW}-*.{seed}"))]
    recipe = lab.recipe(
        {NEW: runs},
        data="from LibreOffice help to its interface (libreoffice-l10n-de), English to German",
        split=SPLIT,
        metric=METRIC,
    )
    plot = {
        "title": "Gain in the new domain, and what the old one loses",
        "x": f"change on {OLD}, BLEU",
        "y": f"gain on {NEW}, BLEU",
        "points": ["change", "gain"],
    }
    return {"rows": rows, "recipe": recipe, "plot": plot}


def _backtranslate() -> Path:
    """Return a table of the targets of the new domain, as if it had no sources, and of those that a model invents."""
    reverse = lab.run(_folder("reverse", 1), f"{REVERSE} common.seed=1")
    synthetic = reverse / "synthetic.jsonl"
    if not synthetic.is_file():
        text = prepare(f"s2s prepare {NEW_DATA}") / "text" / "train.de"
        _s2s(f"backtranslate app=nmt run_dir={reverse.relative_to(ROOT)} {text} {synthetic} search=greedy workers=1")
    return synthetic


def _old(seed: int) -> Path:
    return lab.run(_folder(OLD, seed), f"{DOMAINS[OLD]} common.seed={seed}")


def _settings(base: str, old: tuple[str, str], synthetic: str) -> dict[str, str]:
    """Return the settings of the trainings that go on from the run ``base``.

    Args:
        base: the folder of the run in the old domain.
        old: its training pairs, sources and targets.
        synthetic: the table of back-translated text of the new domain.
    """
    settings = {
        "plain": NEW_DATA,
        "mixed": f"{NEW_DATA} data.extra_source={old[0]} data.extra_target={old[1]} data.extra_tag={TAGS[OLD]}",
        "ewc": f"{NEW_DATA} criterion=s2s_cross_entropy criterion.ewc=100",
        "back": f"{DOMAINS[OLD]} data.extra_pairs={synthetic} data.extra_tag={TAGS[NEW]}",
    }
    return {name: f"{words} finetune_from={base} {TUNING}" for name, words in settings.items()}


def _adapt(seed: int, synthetic: Path) -> dict[str, tuple[float, float]]:
    """Return the scores in the new and in the old domain, by the name of the system."""
    base = _old(seed)
    old_train = [str(path.relative_to(ROOT)) for path in _text(base, "train")]
    settings = _settings(str(base.relative_to(ROOT)), (old_train[0], old_train[1]), str(synthetic.relative_to(ROOT)))

    def tuned(name: str) -> Path:
        return lab.run(_folder(f"to-{NEW}-{name}", seed), f"{settings[name]} common.seed={seed}")

    plain, mixed, kept, back = map(tuned, ("plain", "mixed", "ewc", "back"))
    new, old, train = _text(plain, "test"), _text(base, "test"), _text(plain, "train")
    knn = f"task.knn={_datastore(base, train).relative_to(ROOT)}"
    return {
        "as it is": (bleu(base, *new), bleu(base, *old)),
        "fine-tuned": (bleu(plain, *new), bleu(plain, *old)),
        "fine-tuned, EWC": (bleu(kept, *new), bleu(kept, *old)),
        "mixed fine-tuning, old domain tagged": (bleu(mixed, *new), bleu(mixed, *old, tag=TAGS[OLD])),
        "back-translated text of the new domain, tagged": (bleu(back, *new, tag=TAGS[NEW]), bleu(back, *old)),
        "kNN, datastore in the new domain alone": (bleu(base, *new, knn), bleu(base, *old)),
        "kNN, datastore always": (bleu(base, *new, knn), bleu(base, *old, knn)),
    }


def _folder(name: str, seed: int) -> Path:
    return lab.RUNS / LAB / f"{name}.{seed}"


def neighbors(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what a datastore costs, in space and in time."""
    base, plain = _old(1), _folder(f"to-{NEW}-plain", 1)
    if not plain.is_dir():
        sys.exit("make limit-domain ARGS='--only adaptation' comes first")
    store = _datastore(base, _text(plain, "train"))
    source, _ = _text(plain, "test")
    count = len(source.read_text(encoding="utf-8").splitlines())
    rows = []
    searches = {"none": "", "with index": f"task.knn={store}", "all states compared": f"task.knn={_exact(store)}"}
    for name, words in searches.items():
        seconds, megabytes = cost(f"s2s translate app=nmt run_dir={base} {source} workers=1 {words}", threads=1)
        rows.append({"datastore": name, "ms for a sentence": 1000 * seconds / count, "memory, MB": round(megabytes)})
    sizes = {path.name: round(path.stat().st_size / 2**20, 1) for path in sorted(store.iterdir())}
    states = json.loads((store / "datastore.json").read_text(encoding="utf-8"))["states"]
    recipe = lab.recipe(
        {OLD: [base]},
        data=f"{states:,} states of {NEW}; on disk {sizes['keys.npy']} MB, and an index of {sizes['index.faiss']} MB",
        split=f"{count} test sentences, in one process of one thread, the start included",
        metric="CPU time and peak memory (mapped files count as far as they are read)",
    )  # fmt: skip
    return {"rows": rows, "recipe": recipe}


def source_value(options: argparse.Namespace) -> dict[str, Any]:
    """Measure for four tasks how many bits of a token the source explains; of chat, also a part of the source."""
    tasks = {**TASKS, "chat, the last turn alone": _last_turns()}
    names = {name: OLD if name == "translation" else re.sub(r"\W+", "-", name) for name in tasks}
    runs = lab.train(LAB, {names[name]: words for name, words in tasks.items()}, options)

    def row(name: str) -> dict[str, Any]:
        folders = runs[names[name]]
        bits, metrics = [_bits(folder) for folder in folders], [lab.scores(folder)["metrics"] for folder in folders]
        return {
            "task": name,
            **{column: [each[source] for each in bits] for source, column in SOURCES.items()},
            "BLEU": [each["BLEU"]["score"] for each in metrics if "BLEU" in each] or "",
        }

    rows = lab.each(row, names, options)
    recipe = lab.recipe(
        runs,
        data="default corpora of the apps; the three rows of chat have the same replies",
        split="up to 500 test items; BLEU of all",
        metric="bits for a token of the reference; BLEU (sacreBLEU, 13a) of the outputs where it is the app's metric",
    )
    plot = {"title": "Bits of a token by what stands in for its source", "x": "", "y": "bits", "bars": True}
    return {"rows": rows, "recipe": recipe, "plot": plot | {"rows": list(TASKS), "columns": list(SOURCES.values())}}


def _last_turns() -> str:
    """Write a chatbot's text without the turns before the last one, and return the settings of a run on it."""
    text = prepare(f"s2s prepare {TASKS['chat, history']}") / "text"
    written = lab.RUNS / LAB / "last-turns"
    written.mkdir(parents=True, exist_ok=True)
    words = [CHAT, "data=files data.source_lang=turns data.target_lang=reply data.retrieval=false"]
    for split, option in (("train", ""), ("valid", "valid_"), ("test", "test_")):
        for side, language in (("source", "turns"), ("target", "reply")):
            lines = (text / f"{split}.{language}").read_text(encoding="utf-8").splitlines()
            name = written / f"{split}.{side}"
            name.write_text("".join(f"{last_turn(line).strip()}\n" for line in lines), encoding="utf-8")
            words.append(f"data.{option}{side}={name.relative_to(ROOT)}")
    return " ".join(words)


def _bits(folder: Path) -> dict[str, float]:
    """Return the bits of a token by the source that it has, its own or what takes its place, by ``s2s diagnose``."""
    call(f"s2s diagnose {folder.relative_to(ROOT)} diagnose.measures=[source]", threads=1)
    (finding,) = json.loads((folder / "diagnosis.json").read_text(encoding="utf-8"))["findings"]
    return {row["source"]: row["bits per token"] for row in finding["rows"]}


def bleu(folder: Path, source: Path, reference: Path, words: str = "", tag: str = "") -> float:
    """Return the BLEU of a run on a test set, once it has been computed; ``tag``: a word before the sources."""
    from sacrebleu.metrics import BLEU

    name = re.sub(r"\W+", "-", f"{source.parent.parent.name} {words} {tag}").strip("-")
    output = folder / "tests" / f"{name}.txt"
    if not output.is_file():
        output.parent.mkdir(exist_ok=True)
        tagged = output.with_suffix(".source")
        lines = source.read_text(encoding="utf-8").splitlines()
        tagged.write_text("".join(f"{tag} {line}".lstrip() + "\n" for line in lines), encoding="utf-8")
        run = folder.relative_to(ROOT)
        printed = _s2s(f"translate app=nmt run_dir={run} {tagged.relative_to(ROOT)} workers=1 {words}")
        output.write_text(printed, encoding="utf-8")
    hypotheses = output.read_text(encoding="utf-8").split("\n")[:-1]
    return BLEU().corpus_score(hypotheses, [reference.read_text(encoding="utf-8").splitlines()]).score


def _text(folder: Path, split: str) -> tuple[Path, Path]:
    """Return the files of a split of a run's corpus."""
    config = OmegaConf.load(folder / "config.yaml")
    text = ROOT / config.task.data / "text"
    return text / f"{split}.{config.data.source_lang}", text / f"{split}.{config.data.target_lang}"


def _datastore(base: Path, files: tuple[Path, Path]) -> Path:
    """Return the datastore of a run for the pairs in two files."""
    store = base / f"datastore-{NEW}"
    if not store.is_dir():
        _s2s(f"datastore app=nmt run_dir={base.relative_to(ROOT)} {files[0]} {files[1]} task.knn={store}")
    return store


def _exact(store: Path) -> Path:
    """Return a copy of a datastore without its index."""
    copy = store.with_name(f"{store.name}-exact")
    if not copy.is_dir():
        copy.mkdir()
        for path in store.iterdir():
            if path.name not in ("index.faiss", "digests.json"):
                (copy / path.name).hardlink_to(path)
    return copy


def _s2s(words: str) -> str:
    """Run ``s2s`` on one core, and return what it prints on standard output."""
    return call(f"s2s {words}", threads=1, messages=False)


if __name__ == "__main__":
    lab.main(
        LAB,
        __doc__,
        {
            "matrix": (matrix, 1),
            "adaptation": (adaptation, 2),
            "neighbors": (neighbors, 1),
            "source": (source_value, 1),
        },
    )
