"""AESLC: its format and its home, on the real held-out e-mails where they are at hand."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from recipes import ANY_CONTENT, assert_manifest, read, sample

from s2s_plugin.corpora import recipe
from s2s_plugin.corpora.splits import SPLITS
from s2s_plugin.errors import UserError
from s2s_plugin.stages import schema as config
from s2s_plugin.stages.generate.outputs import read_items
from s2s_plugin.stages.prepare.stage import prepare

aeslc = recipe.load_recipe("aeslc")
EMAIL = (
    "Hi  Phil,\tthe {n} budget\n review is on Monday.\n\n@subject\nBudget  {n}\n\n@ann0\nreview\n\n@ann1\nx\n\n@ann2\ny"
)
SIZES = {"train": 3, "valid": 2, "test": 2}


def write_emails(folder: Path) -> Path:
    """The repository in small."""
    for split, (name, _) in aeslc.SPLITS.items():
        (folder / "enron_subject_line" / name).mkdir(parents=True)
        for n in range(SIZES[split]):
            text = EMAIL.format(n=f"{name} {n}")
            text = text if split != "train" else text.partition("\n\n@ann0")[0]
            (folder / "enron_subject_line" / name / f"allen-p_{n}.subject").write_text(text)
    return folder


@pytest.fixture
def emails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    counts = {split: (name, SIZES[split]) for split, (name, _) in aeslc.SPLITS.items()}
    monkeypatch.setattr(aeslc, "SPLITS", counts)
    return write_emails(tmp_path / "AESLC")


@pytest.mark.parametrize("inside", ["", "enron_subject_line"])
def test_bodies_and_the_senders_own_subjects(emails: Path, tmp_path: Path, inside: str):
    out = aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path, from_dir=emails / inside)
    assert_manifest(out, "aeslc")
    assert [len(read(out, f"{split}.body")) for split in SPLITS] == [3, 2, 2]
    assert read(out, "test.body") == [f"Hi Phil, the test {n} budget review is on Monday." for n in range(2)]
    assert read(out, "test.subject") == ["Budget test 0", "Budget test 1"]
    assert read(out, "train.subject")[2] == "Budget train 2"


def test_lower_case(emails: Path, tmp_path: Path):
    out = aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path, from_dir=emails, lowercase=True)
    assert read(out, "valid.body")[0] == "hi phil, the dev 0 budget review is on monday."
    assert read(out, "valid.subject") == ["budget dev 0", "budget dev 1"]


def test_the_readers_subjects_are_what_is_scored_against(emails: Path, tmp_path: Path):
    out = aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path, from_dir=emails, readers=True)
    assert assert_manifest(out, "aeslc").keys() >= {"valid.references.tsv", "test.references.tsv"}
    assert read(out, "test.references.tsv") == ["review\tx\ty"] * 2
    assert read(out, "test.subject") == ["Budget test 0", "Budget test 1"]


def test_references_stay_with_their_emails_through_the_pipeline(emails: Path, tmp_path: Path, monkeypatch):
    long = emails / "enron_subject_line/test/allen-p_0.subject"
    long.write_text(long.read_text().replace("review is", "review " * 80 + "is").replace("@ann1\nx", "@ann1\nlong"))
    config.register()
    monkeypatch.setattr(recipe, "load_recipe", lambda name: aeslc)
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose(
            "s2s",
            overrides=[
                *("app=summarize", "data=aeslc", f"data.from_dir={emails}", "+data.options.readers=true"),
                *(f"prepared_dir={tmp_path}/bin", "subword.size=60", "data.max_length=200"),
            ],
        )
    items = read_items(cfg, prepare(cfg), "test")
    assert [item["reference"] for item in items] == [["review", "x", "y"]]
    assert items[0]["source"].startswith("Hi Phil, the test 1 budget")


def test_comes_from_its_public_home(emails: Path, tmp_path: Path, home: tuple[Path, str], monkeypatch):
    folder, address = home
    emails.rename(tmp_path / f"AESLC-{aeslc.COMMIT}")
    shutil.make_archive(str(folder / "aeslc"), "zip", tmp_path, f"AESLC-{aeslc.COMMIT}")
    monkeypatch.setattr(aeslc, "URL", f"{address}/aeslc.zip")
    monkeypatch.setattr(aeslc, "EXPECTED", ANY_CONTENT)
    out = aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path / "cache")
    assert read(out, "test.subject") == ["Budget test 0", "Budget test 1"]


def test_what_is_missing_or_broken_is_named(emails: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"no enron_subject_line in .*: it is a folder of https://github"):
        aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path, from_dir=tmp_path / "none")
    (emails / "enron_subject_line/dev/allen-p_1.subject").write_text("no subject here")
    with pytest.raises(UserError, match=r"dev/allen-p_1\.subject: expected a body, a line @subject"):
        aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path, from_dir=emails)
    (emails / "enron_subject_line/dev/allen-p_1.subject").unlink()
    with pytest.raises(UserError, match=r"dev has 1 emails, the official split has 2; download it again"):
        aeslc.prepare(tmp_path / "out", "body", "subject", tmp_path, from_dir=emails)
    assert not (tmp_path / "out").exists()


def test_real_emails_are_read_in_order(tmp_path: Path):
    """The sample has the official order: that of the files' names, which are not in it."""
    folder = sample("aeslc")
    bodies, subjects = (
        gzip.decompress((folder / f"test.{side}.gz").read_bytes()).decode().split("\n")[:-1]
        for side in ("body", "subj")
    )
    assert len(bodies) == len(subjects) == aeslc.SPLITS["test"][1]
    for number, (body, subject) in enumerate(zip(bodies, subjects, strict=True)):
        (tmp_path / f"{number:04}.subject").write_text(f"{body}\n\n@subject\n{subject}", encoding="utf-8")
    pairs = [tuple(email) for email in aeslc.read_emails(tmp_path, 1_906, lowercase=False)]
    assert pairs == list(zip(bodies, subjects, strict=True))
