"""Validation scores outputs by the original texts, as the score stage does: an unknown word never counts as right."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import PREPROCESS, call
from fairseq.logging import metrics

import s2s_plugin
from s2s_plugin.corpora.writing import write_corpus
from s2s_plugin.scoring.evaluate import evaluate
from s2s_plugin.tasks.config import Seq2SeqTaskConfig
from s2s_plugin.tasks.seq2seq import Seq2SeqTask
from s2s_plugin.tasks.validation import UNKNOWN_IN_REFERENCE
from s2s_plugin.utils import digests

SIDES = ("en", "de")


def prepare(folder: Path, *options: str) -> Path:
    """Prepare pairs whose held-out words are partly unknown to a word vocabulary; return the prepared folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in (("", 60), ("valid_", 12), ("test_", 12)):
        lines = [f"the house {n % 7} {'stands' if split == '' else f'new{split}{n}'} here" for n in range(size)]
        (folder / f"{split}own.en").write_text("".join(f"{line} {n}\n" for n, line in enumerate(lines)))
        (folder / f"{split}own.de").write_text("".join(f"{n} {line.upper()}\n" for n, line in enumerate(lines)))
    files = [f"data.{split}{side}={folder}/{split}own.{lang}" for split in ("", "valid_", "test_")
             for side, lang in zip(("source", "target"), SIDES, strict=True)]  # fmt: skip
    call(["s2s", "prepare", "app=nmt", "subword.kind=word", "subword.size=40", *files, *options], cwd=folder)
    return next(folder.glob("data-bin/files.*/prepared.json")).parent


def validated(task: Seq2SeqTask, outputs: list[str | torch.Tensor] | None = None, batches: int = 5) -> float:
    """Return the logged metric of outputs of the validation set (None: the targets), in shuffled batches."""
    dataset, order = task.dataset("valid"), torch.randperm(len(task.dataset("valid"))).tolist()
    logs = []
    for start in range(batches):
        batch = dataset.collater([dataset[i] for i in order[start::batches]])
        hypotheses = []
        for i in batch["id"].tolist():
            tokens = dataset[i]["target"] if outputs is None else outputs[i]
            if isinstance(tokens, str):
                tokens = tokens if task.codec is None else task.codec.target.encode(tokens)
                tokens = task.target_dictionary.encode_line(tokens, add_if_not_exist=False, append_eos=True).long()
            hypotheses.append([{"tokens": tokens}])
        logs.append(task.metric.statistics(hypotheses, batch))
    with metrics.aggregate(new_root=True) as log:
        task.metric.log(logs)
    return log.get_smoothed_values()[task.cfg.eval_metric]


def task_of(folder: Path, metric: str, source: str = "en", target: str = "de") -> Seq2SeqTask:
    cfg = Seq2SeqTaskConfig(data=str(folder), source_lang=source, target_lang=target, eval_metric=metric)
    cfg.seed = 1
    task = Seq2SeqTask.setup_task(cfg)
    task.load_dataset("valid")
    return task


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("words"))


@pytest.mark.parametrize("metric", ["bleu", "wer", "cer", "exact"])
@pytest.mark.parametrize("direction", [SIDES, SIDES[::-1]])
def test_validation_scores_what_the_score_stage_does(words: Path, metric: str, direction: tuple[str, str]):
    """Outputs with the reference's own ids, unknown ones among them, get the score that their text has."""
    task = task_of(words, metric, *direction)
    dataset = task.dataset("valid")
    targets = [dataset[i]["target"] for i in range(len(dataset))]
    assert all(target.eq(task.target_dictionary.unk()).any() for target in targets)
    hypotheses = [task.codec.decode(task.target_dictionary.string(target)) for target in targets]
    references = (words / "text" / f"valid.{direction[1]}").read_text(encoding="utf-8").splitlines()
    [expected] = evaluate([f"s2s_{metric}"], hypotheses, references).values()
    assert validated(task) == pytest.approx(expected["score"], abs=0.011)
    assert expected["score"] not in (0.0, 100.0) or metric == "exact"


def test_copy_slots_are_filled_before_scoring(tmp_path: Path):
    """A slot stands for a source word: the right one is right, although its token is that of many words."""
    folder = prepare(tmp_path, "subword.copy_slots=5", "subword.joint=true")
    task = task_of(folder, "exact")
    assert "<copy0>" in task.target_dictionary
    sources, targets = ((folder / "text" / f"valid.{lang}").read_text().splitlines() for lang in SIDES)
    dataset = task.dataset("valid")
    hypotheses = [task.codec.decode(task.target_dictionary.string(dataset[i]["target"])) for i in range(len(dataset))]
    filled = [task.codec.fill(text, source) for text, source in zip(hypotheses, sources, strict=True)]
    [expected] = evaluate(["s2s_exact"], filled, targets).values()
    assert validated(task) == pytest.approx(expected["score"], abs=0.011)


def linked(prepared: Path, folder: Path) -> Path:
    """Link the files of a prepared folder, but for its text and digests, in a new one."""
    folder.mkdir()
    for path in prepared.iterdir():
        if path.name not in ("text", digests.DIGESTS):
            (folder / path.name).symlink_to(path)
    return folder


def test_several_references_count_as_in_the_score_stage(words: Path, tmp_path: Path):
    """Where a recipe has several references of an item, each of them may be met; not in the other direction."""
    folder = linked(words, tmp_path / "several")
    pairs = {split: [tuple(line) for line in zip(*((words / "text" / f"{split}.{lang}").read_text().splitlines()
             for lang in SIDES), strict=True)] for split in ("train", "valid", "test")}  # fmt: skip
    references = {"valid": [["nothing like it", "THE HOUSE"] for _ in pairs["valid"]]}
    write_corpus(folder / "text", pairs, SIDES, {"name": "several"}, references)
    task = task_of(folder, "exact")
    assert validated(task, ["THE HOUSE"] * len(pairs["valid"])) == 100.0
    assert task.dataset("valid").references[0].texts == ["nothing like it", "THE HOUSE"]
    assert task_of(folder, "exact", *SIDES[::-1]).dataset("valid").references[0].texts == [pairs["valid"][0][0]]


@pytest.mark.parametrize("implementation", ["mmap", "raw"])
@pytest.mark.parametrize("metric", ["bleu", "wer"])
def test_in_plain_data_unknown_equals_nothing(tmp_path: Path, metric: str, implementation: str):
    """``fairseq-preprocess`` data: ``@@`` is removed, and an unknown reference word counts as an error."""
    for split, word in (("train", "known"), ("valid", "never")):
        for lang in ("src", "tgt"):
            text = "".join(f"a lit@@ t@@ le word is {word if n % 2 else 'known'} as long as this\n" for n in range(8))
            (tmp_path / f"{split}.{lang}").write_text(text)
    call(f"{PREPROCESS} --trainpref train --validpref valid --dataset-impl {implementation}", cwd=tmp_path)
    task = task_of(tmp_path / "bin", metric, "src", "tgt")
    word = {"mmap": UNKNOWN_IN_REFERENCE, "raw": "never"}[implementation]
    references = [f"a little word is {word if n % 2 else 'known'} as long as this" for n in range(8)]
    outputs = [f"a little word is {'wrong' if n % 2 else 'known'} as long as this" for n in range(8)]
    [expected] = evaluate([f"s2s_{metric}"], outputs, references).values()
    assert validated(task) == pytest.approx(expected["score"], abs=0.011)
    assert 0 < expected["score"] < 100


def test_a_missing_line_of_the_references_is_said(words: Path, tmp_path: Path):
    folder = linked(words, tmp_path / "short")
    (folder / "text").mkdir()
    (folder / "text" / "valid.de").write_text("one line\n")
    with pytest.raises(s2s_plugin.errors.UserError, match="12 items in split 'valid' but 1 references"):
        task_of(folder, "bleu")
