"""What importing this package does to fairseq."""

import multiprocessing
import subprocess
import sys

import pytest
from fairseq.data.iterators import BufferedIterator
from torch.utils.data import DataLoader

UNUSED = ("sklearn", "scipy.stats", "torchaudio", "pyarrow")


def python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_import_leaves_logging_alone_and_unused_libraries_out():
    logging, loaded, *scores = python(
        "import logging, s2s_plugin; print(logging.root.level == logging.WARNING, logging.root.handlers)\n"
        f"import sys; print([name for name in {UNUSED} if name in sys.modules])\n"
        "import numpy\n"
        "from fairseq.criterions.sentence_prediction import acc_and_f1, pearson_and_spearman\n"
        "from fairseq.tasks.audio_classification import sklearn_metrics\n"
        "labels, guesses = numpy.array([0, 1, 1, 1]), numpy.array([0, 1, 1, 0])\n"
        "print(round(acc_and_f1(guesses, labels)['f1'], 3), round(pearson_and_spearman(guesses, labels)['corr'], 3))\n"
        "print(round(sklearn_metrics.roc_auc_score(labels, guesses), 3))\n"
        "import scipy.stats, sklearn.metrics\n"
        "print(scipy.stats.norm.cdf(0), sklearn.metrics.accuracy_score(labels, guesses))\n"
    ).splitlines()
    assert logging == "True []"  # as it was
    assert loaded == "[]"
    assert " ".join(scores).split() == ["0.8", "0.577", "0.833", "0.5", "0.75"]


def test_plain_fairseq_imported_first_is_left_alone():
    assert python("import fairseq, s2s_plugin, sys; print('sklearn' in sys.modules)").strip() == "True"


def test_workers_of_a_data_loader_end_with_its_batches():
    import s2s_plugin  # noqa: F401  (which makes it so)

    loader = DataLoader(list(range(10)), num_workers=2, persistent_workers=True)
    for _ in range(5):  # without a pause between them
        batches = BufferedIterator(5, loader)
        assert len(list(batches)) == 10
    batches._consumer.join()
    assert not multiprocessing.active_children()


def test_a_data_loader_that_cannot_start_does_not_hang():
    import s2s_plugin  # noqa: F401  (which makes it so)

    class Broken:
        def __len__(self) -> int:
            return 1

        def __iter__(self):
            raise OSError("no more processes")

    with pytest.raises(OSError, match="no more processes"):
        list(BufferedIterator(5, Broken()))
