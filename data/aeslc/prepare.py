"""AESLC: emails and their subject lines (Enron), with the official split.

No email is dropped, merged or reordered: scores on the 1,906 of the test set are comparable to published ones, whose
reference is the sender's subject. Three readers wrote another three for each held-out email.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from s2s_plugin.corpora.fetching.download import Expected, url_archive
from s2s_plugin.corpora.recipe import Corpus, Request, recipe
from s2s_plugin.errors import UserError

COMMIT = "7afc087a1cc234d07121f0d4a2d87102ddceabc2"
SOURCE = "https://github.com/ryanzhumich/AESLC"
URL = f"{SOURCE}/archive/{COMMIT}.zip"
EXPECTED = Expected(  # packed by GitHub on demand: what is in it is fixed
    (5_000_000, 30_000_000), content="6b619c26ede19bc6025380f3448ead8f78e3648c186c6e70507ac5fab9031cc5"
)
SPLITS = {"train": ("train", 14_436), "valid": ("dev", 1_960), "test": ("test", 1_906)}  # folder, emails
PARTS = re.compile(r"\n@(?:subject|ann\d)\n")  # separate body, subject and the readers' subjects
READERS = 3


def find_folder(cache: Path, from_dir: Path | None) -> Path:
    """Return the folder ``enron_subject_line``; the user's may be or contain it."""
    if from_dir is None:
        return url_archive(URL, cache, EXPECTED) / f"AESLC-{COMMIT}" / "enron_subject_line"
    for folder in (from_dir, from_dir / "enron_subject_line"):
        if (folder / "train").is_dir():
            return folder
    raise UserError(f"no enron_subject_line in {from_dir}: it is a folder of {SOURCE}")


def read_emails(folder: Path, expected: int, lowercase: bool) -> list[list[str]]:
    """Return body, subject and the readers' subjects of each file, single-spaced, in the order of file names.

    Raises:
        UserError: a file is of another form, or their number is not the official one.
    """
    emails = []
    for path in sorted(folder.glob("*.subject")):
        text = path.read_text(encoding="utf-8")
        parts = [" ".join(part.split()) for part in PARTS.split(text.lower() if lowercase else text)]
        if len(parts) not in (2, 2 + READERS) or not all(parts):
            raise UserError(f"{path}: expected a body, a line @subject and the subject; download it again")
        emails.append(parts)
    if len(emails) != expected:
        raise UserError(f"{folder} has {len(emails):,} emails, the official split has {expected:,}; download it again")
    return emails


@recipe(
    directions=[("body", "subject")],
    source=SOURCE,
    license="CC BY-NC-SA 4.0",
    version=COMMIT,
    help={
        "lowercase": "convert both sides to lower case",
        "readers": "score against the three subjects that readers wrote, not the sender's",
    },
)
def prepare(request: Request, lowercase: bool = False, readers: bool = False) -> Corpus:
    """Read the official split."""
    folder = find_folder(request.cache, request.from_dir)
    emails = {split: read_emails(folder / name, count, lowercase) for split, (name, count) in SPLITS.items()}
    splits = {split: [(email[0], email[1]) for email in found] for split, found in emails.items()}
    references = {split: [email[2:] for email in emails[split]] for split in ("valid", "test")}
    return Corpus(splits, references=references if readers else None)


if __name__ == "__main__":
    sys.exit(prepare.main())
