"""AESLC: e-mails and their subject lines (Enron), with the official split.

No e-mail is dropped, merged or reordered: scores on the 1,906 of the test set compare with published ones, which have
the sender's own subject as reference. The subjects that three readers wrote for each held-out e-mail are not used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.errors import UserError
from s2s_plugin.pipeline import corpus, fetch

COMMIT = "7afc087a1cc234d07121f0d4a2d87102ddceabc2"
SOURCE = "https://github.com/ryanzhumich/AESLC"
URL = f"{SOURCE}/archive/{COMMIT}.zip"  # GitHub packs it anew now and then: its checksum is not fixed
SPLITS = {"train": ("train", 14_436), "valid": ("dev", 1_960), "test": ("test", 1_906)}  # folder, e-mails
SUBJECT, ANNOTATION = "\n@subject\n", "\n@ann0\n"


def find_folder(cache: Path, from_dir: Path | None) -> Path:
    """The folder ``enron_subject_line``; the user's may be it, or hold it."""
    if from_dir is None:
        return fetch.url_archive(URL, cache) / f"AESLC-{COMMIT}" / "enron_subject_line"
    for folder in (from_dir, from_dir / "enron_subject_line"):
        if (folder / "train").is_dir():
            return folder
    raise UserError(f"no enron_subject_line in {from_dir}: it is a folder of {SOURCE}")


def read_emails(folder: Path, expected: int, lowercase: bool) -> list[corpus.Pair]:
    """Body and subject of each file, in the order of their names, words one space apart; their number is checked."""
    pairs = []
    for path in sorted(folder.glob("*.subject")):
        text = path.read_text(encoding="utf-8")
        body, found, rest = text.partition(SUBJECT)
        subject = rest.partition(ANNOTATION)[0]
        if not (found and body.split() and subject.split()):
            raise UserError(f"{path}: expected a body, a line @subject and the subject; fetch it again")
        source, target = (" ".join((side.lower() if lowercase else side).split()) for side in (body, subject))
        pairs.append((source, target))
    if len(pairs) != expected:
        raise UserError(f"{folder} has {len(pairs):,} e-mails, the official split has {expected:,}; fetch it again")
    return pairs


def prepare(out: Path, src: str, tgt: str, cache: Path, from_dir: Path | None = None, lowercase: bool = False) -> Path:
    """Write the corpus to ``out`` and return it.

    ``lowercase``: both sides; ROUGE makes no difference.

    Raises:
        UserError: the e-mails cannot be had, or are not the official ones.
    """
    folder = find_folder(Path(cache), from_dir and Path(from_dir))
    splits = {split: read_emails(folder / name, count, lowercase) for split, (name, count) in SPLITS.items()}
    meta = {
        "name": "aeslc",
        "source": SOURCE,
        "version": "from folder" if from_dir else COMMIT,
        "licence": "CC BY-NC-SA 4.0",
        "options": {"lowercase": lowercase},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src="body", tgt="subject")
    parser.add_argument("--lowercase", action="store_true", help="put both sides into lower case")
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
