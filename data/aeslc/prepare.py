"""AESLC: e-mails and their subject lines (Enron), with the official split.

No e-mail is dropped, merged or reordered: scores on the 1,906 of the test set compare with published ones, which have
the sender's own subject as reference. Three readers wrote another three for each held-out e-mail.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_plugin.corpora import packages as fetch
from s2s_plugin.corpora import splits as corpus
from s2s_plugin.errors import UserError

SIDES = "body", "subject"
COMMIT = "7afc087a1cc234d07121f0d4a2d87102ddceabc2"
SOURCE = "https://github.com/ryanzhumich/AESLC"
URL = f"{SOURCE}/archive/{COMMIT}.zip"  # GitHub packs it anew now and then: its checksum is not fixed
SPLITS = {"train": ("train", 14_436), "valid": ("dev", 1_960), "test": ("test", 1_906)}  # folder, e-mails
PARTS = re.compile(r"\n@(?:subject|ann\d)\n")  # between body, subject and what readers wrote
READERS = 3


def find_folder(cache: Path, from_dir: Path | None) -> Path:
    """The folder ``enron_subject_line``; the user's may be it, or hold it."""
    if from_dir is None:
        return fetch.url_archive(URL, cache) / f"AESLC-{COMMIT}" / "enron_subject_line"
    for folder in (from_dir, from_dir / "enron_subject_line"):
        if (folder / "train").is_dir():
            return folder
    raise UserError(f"no enron_subject_line in {from_dir}: it is a folder of {SOURCE}")


def read_emails(folder: Path, expected: int, lowercase: bool) -> list[list[str]]:
    """Body, subject and the readers' subjects of each file, words one space apart; in the order of the files' names.

    Raises:
        UserError: a file is of another form, or their number is not the official one.
    """
    emails = []
    for path in sorted(folder.glob("*.subject")):
        text = path.read_text(encoding="utf-8")
        parts = [" ".join(part.split()) for part in PARTS.split(text.lower() if lowercase else text)]
        if len(parts) not in (2, 2 + READERS) or not all(parts):
            raise UserError(f"{path}: expected a body, a line @subject and the subject; fetch it again")
        emails.append(parts)
    if len(emails) != expected:
        raise UserError(f"{folder} has {len(emails):,} e-mails, the official split has {expected:,}; fetch it again")
    return emails


def prepare(
    out: Path,
    src: str,
    tgt: str,
    cache: Path,
    from_dir: Path | None = None,
    lowercase: bool = False,
    readers: bool = False,
) -> Path:
    """Write the corpus to ``out`` and return it.

    ``lowercase``: both sides; ROUGE makes no difference. ``readers``: score against the three subjects that readers
    wrote, not the sender's.

    Raises:
        UserError: the e-mails cannot be had, or are not the official ones.
    """
    corpus.check_sides(src, tgt, SIDES)
    folder = find_folder(Path(cache), from_dir and Path(from_dir))
    emails = {split: read_emails(folder / name, count, lowercase) for split, (name, count) in SPLITS.items()}
    splits = {split: [(email[0], email[1]) for email in found] for split, found in emails.items()}
    held_out = {split: [email[2:] for email in emails[split]] for split in ("valid", "test")}
    meta = {
        "name": "aeslc",
        "source": SOURCE,
        "version": "from folder" if from_dir else COMMIT,
        "licence": "CC BY-NC-SA 4.0",
        "options": {"lowercase": lowercase, "readers": readers},
    }
    return corpus.write_corpus(out, splits, (src, tgt), meta, held_out if readers else None)


def main(argv: Sequence[str] | None = None) -> int:
    parser = corpus.recipe_parser(__doc__, src=SIDES[0], tgt=SIDES[1])
    parser.add_argument("--lowercase", action="store_true", help="put both sides into lower case")
    parser.add_argument("--readers", action="store_true", help="score against the subjects that readers wrote")
    return corpus.run_recipe(prepare, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
