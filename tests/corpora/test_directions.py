"""Both directions from one preparation, and several directions in one model, told apart by a tag."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from command_line import call
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from s2s_plugin.corpora import directions
from s2s_plugin.corpora.splits import match_key
from s2s_plugin.errors import UserError
from s2s_plugin.stages import compare
from s2s_plugin.stages import schema as config
from s2s_plugin.stages.prepare.folder import resolve_preparation
from s2s_plugin.stages.prepare.stage import prepare

TINY = (
    "model=tiny model.share_all_embeddings=true subword.size=60 dataset.max_tokens=800 optimization.max_update=60 "
    "optimization.lr=[0.01] lr_scheduler.warmup_updates=20 checkpoint_metric=loss"
)


def write_parallel(folder: Path, count: int = 400) -> None:
    """``my.en``, small letters; ``my.de``, the same backwards in capitals; ``my.ko``, as numbers."""
    draw = random.Random(1)
    words = list(dict.fromkeys("".join(draw.choices("abcdefgh", k=draw.randint(3, 7))) for _ in range(count)))
    lines = {
        "en": [" ".join(word) for word in words],
        "de": [" ".join(word[::-1].upper()) for word in words],
        "ko": [" ".join(str(ord(letter) - ord("a")) for letter in word) for word in words],
    }
    for lang, texts in lines.items():
        (folder / f"my.{lang}").write_text("".join(f"{text}\n" for text in texts))


def composed(*overrides: str) -> DictConfig:
    """The config as the stages have it."""
    config.register()
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        cfg = compose("s2s", overrides=["app=nmt", *overrides])
    cfg = DictConfig(OmegaConf.to_container(cfg, enum_to_str=True))
    directions.join_languages(cfg)
    return cfg


# ------------------------------------------------------------------ the other direction


@pytest.mark.slow
def test_the_other_direction_uses_the_same_preparation(tmp_path: Path):
    write_parallel(tmp_path)
    call(f"s2s prepare app=nmt data=files data.source=my.en data.target=my.de {TINY}", cwd=tmp_path)
    (data,) = (path for path in (tmp_path / "data-bin").iterdir() if path.is_dir())
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    files = "data=files data.source=my.de data.target=my.en"
    done = call(f"s2s run app=nmt name=back {files} {TINY} task.shortlist=50", cwd=tmp_path)
    assert [path for path in (tmp_path / "data-bin").iterdir() if path.is_dir()] == [data]
    assert {path: path.read_bytes() for path in before} == before
    printed = " ".join(done.stderr.replace("\\\n", " ").split())  # commands are wrapped
    assert f"fairseq-preprocess --source-lang en --target-lang de --trainpref {data.relative_to(tmp_path)}" in printed
    assert (data / "shortlist.de-en.pt").is_file()  # not that of the other direction
    rows = [json.loads(line) for line in (tmp_path / "runs/nmt/back/outputs.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == (data / "text" / "test.de").read_text().splitlines()
    assert [row["reference"] for row in rows] == (data / "text" / "test.en").read_text().splitlines()


@pytest.mark.parametrize(
    ("options", "shared"),
    [((), True), (("subword.joint=false",), True), (("subword.copy_slots=2",), False), (("subword.size=99",), False)],
)
def test_which_preparations_are_shared(tmp_path: Path, options: tuple[str, ...], shared: bool):
    here = f"prepared_dir={tmp_path}"
    resolve_preparation(composed("data=multi30k", here, *(() if "size" in str(options) else options)))[0].mkdir()
    back = composed("data=multi30k", "data.source_lang=en", "data.target_lang=de", here, *options)
    assert resolve_preparation(back)[0].is_dir() == shared


@pytest.mark.slow
def test_the_longest_side_is_that_of_the_direction(tmp_path: Path):
    """Sources of 3 to 7 symbols, targets of 30: what is too long is told by the direction's own sides."""
    (tmp_path / "my.en").write_text("".join(f"a{number} b\n" for number in range(300)))
    (tmp_path / "my.de").write_text("".join(f"a{number} " + "c d e " * 9 + "\n" for number in range(300)))
    call(f"s2s prepare app=nmt data=files data.source=my.en data.target=my.de {TINY}", cwd=tmp_path)
    back = f"app=nmt data=files data.source=my.de data.target=my.en {TINY} optimization.max_update=1"
    done = call(f"s2s train {back} task.max_source_positions=20", cwd=tmp_path, check=False)
    assert re.search(r"task.max_source_positions must be at least \d+, got 20", done.stderr)
    call(f"s2s train {back} task.max_target_positions=20", cwd=tmp_path)


# ------------------------------------------------------------------ several directions


@pytest.fixture(scope="module")
def one_to_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of English to German and to Korean, finished: the folder it was called in, and what it said."""
    folder = tmp_path_factory.mktemp("one_to_two")
    write_parallel(folder)
    done = call(f"s2s run app=nmt data=files data.source=my.en data.target=[my.de,my.ko] {TINY}", cwd=folder)
    return folder, done.stdout + done.stderr


def test_a_tag_begins_each_source_and_no_output_file(one_to_two):
    folder, _ = one_to_two
    (data,) = (folder / "data-bin").glob("files.en-de+ko.????????")
    for kind in ("text", "pieces"):
        lines = (data / kind / "train.en").read_text().splitlines()
        assert all(re.match(r"(▁ )?<2(de|ko)> ", line) for line in lines)
        assert "<2" not in (data / kind / "train.de+ko").read_text()
    assert not [path for path in data.iterdir() if path.is_dir() and path.name not in ("text", "pieces")]
    rows = [json.loads(line) for line in (folder / "runs/nmt/default/outputs.jsonl").read_text().splitlines()]
    assert {row["direction"] for row in rows} == {"en-de", "en-ko"}
    for row in rows:
        assert re.fullmatch("[a-h]( [a-h])*", row["source"])
        assert row["reference"][0].isdigit() == (row["direction"] == "en-ko")


def test_the_tag_chooses_the_language(one_to_two):
    folder, _ = one_to_two
    for language, letters in (("de", "[A-H ]*"), ("ko", "[0-7 ]*")):
        done = call(f"s2s translate app=nmt translate_to={language}", cwd=folder, stdin="a b c\n\nd e f g\n")
        lines = done.stdout.split("\n")
        assert len(lines) == 4 and lines[1] == "" and lines[0] != ""
        assert all(re.fullmatch(letters, line) for line in lines)
    done = call("s2s translate app=nmt", cwd=folder, stdin="<2ko> a b c\n\n<2de> d e f\n")
    assert re.fullmatch("[0-7 ]+\n\n[A-H ]+\n", done.stdout)


@pytest.mark.parametrize(
    ("to", "message"),
    [("", "language to write: translate_to=de or translate_to=ko"), ("translate_to=fr", "one of de, ko, got fr")],
)
def test_a_language_must_be_said(one_to_two, to: str, message: str):
    done = call(f"s2s translate app=nmt {to}", cwd=one_to_two[0], stdin="a b c\n", check=False)
    assert done.returncode == 2 and message in done.stderr and not done.stdout.strip()


def test_scores_of_each_direction(one_to_two, tmp_path: Path):
    folder, said = one_to_two
    run = folder / "runs" / "nmt" / "default"
    scores = json.loads((run / "scores.json").read_text())
    assert list(scores["directions"]) == ["en-de", "en-ko"]
    assert sum(found["sentences"] for found in scores["directions"].values()) == scores["sentences"]
    rows = [json.loads(line) for line in (run / "outputs.jsonl").read_text().splitlines()]
    for name, found in scores["directions"].items():
        for side in ("reference", "hypothesis"):
            some = "".join(row[side] + "\n" for row in rows if row["direction"] == name)
            (tmp_path / side).write_text(some)
        command = ["sacrebleu", str(tmp_path / "reference"), "-i", str(tmp_path / "hypothesis"), "-b", "-w", "2"]
        assert found["metrics"]["BLEU"]["score"] == pytest.approx(float(call(command).stdout), abs=0.011)
        assert found["baselines"]["copy of the source"]["chrF2"] < 20
        assert f"{name}  BLEU {found['metrics']['BLEU']['score']:.2f}, chrF2" in said
    page = (run / "report.html").read_text()
    assert '<th scope="row">en-ko</th>' in page and "<li><b>en-de</b></li>" in page


def test_one_direction_compares_with_a_run_of_its_own(one_to_two, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    run = one_to_two[0] / "runs" / "nmt" / "default"
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    rows = [line for line in (run / "outputs.jsonl").read_text().splitlines() if '"en-ko"' in line]
    (alone / "outputs.jsonl").write_text("".join(line.replace(', "direction": "en-ko"', "") + "\n" for line in rows))
    with pytest.raises(UserError, match="same test set"):
        compare.run([str(run), str(alone)])
    compare.run([str(run), str(alone), "--direction", "en-ko"])
    assert f"2 runs over the same {len(rows)} items" in capsys.readouterr().out
    with pytest.raises(UserError, match="direction must be among en-de, en-ko, got de-ko"):
        compare.run([str(run), str(alone), "--direction", "de-ko"])


def test_many_to_many_holds_the_same_pairs_out_both_ways(tmp_path: Path):
    write_parallel(tmp_path)
    (tmp_path / "extra.ko").write_text("1 2 3 4 5 6 7\n")
    (tmp_path / "extra.en").write_text("b c d e f g h\n")
    files = "data=files data.source=[my.en,my.de,my.ko,my.en] data.target=[my.de,my.en,my.en,my.ko]"
    extra = "data.extra_source=extra.ko data.extra_target=extra.en"
    call(f"s2s prepare app=nmt {files} {extra} subword.size=60", cwd=tmp_path)
    (data,) = (tmp_path / "data-bin").glob("files.en+de+ko-de+en+ko.????????")

    def texts(split: str, side: str) -> list[str]:
        return [re.sub("^<2..> ", "", line) for line in (data / "text" / f"{split}.{side}").read_text().splitlines()]

    sides = {split: [texts(split, side) for side in ("en+de+ko", "de+en+ko")] for split in ("train", "valid", "test")}
    held_out = {match_key(text) for split in ("valid", "test") for side in sides[split] for text in side}
    assert len(sides["train"][0]) > 0.75 * 4 * 400  # the same sentences are held out in all four
    assert held_out.isdisjoint(match_key(text) for side in sides["train"] for text in side)
    labels = (data / "text" / "test.direction").read_text().split()
    pairs = list(zip(labels, *sides["test"], strict=True))
    there, back = ({(s, t) for label, s, t in pairs if label == name} for name in ("en-de", "de-en"))
    assert there and there == {(t, s) for s, t in back}
    tags = {line.split()[0] for line in (data / "text" / "train.en+de+ko").read_text().splitlines()}
    assert tags == {"<2de>", "<2en>", "<2ko>"}
    assert (data / "text" / "train.en+de+ko").read_text().splitlines()[-1] == "<2en> 1 2 3 4 5 6 7"


def test_directions_of_a_recipe():
    def found(*overrides: str) -> list[str]:
        return directions.names(composed("data=libreoffice_help", *overrides))

    assert found() == ["en-de"]
    assert found("data.target_lang=[de,ko]") == ["en-de", "en-ko"]
    both = composed("data=multi30k", "data.source_lang=[de,en]", "data.target_lang=[de,en]")
    assert directions.names(both) == ["de-en", "en-de"]
    assert (both.task.source_lang, both.task.target_lang) == ("de+en", "en+de")
    assert directions.tags(both) == ["<2en>", "<2de>"]


def test_a_hyphen_may_be_the_languages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_parallel(tmp_path, 60)
    (tmp_path / "my.ko").rename(tmp_path / "my.pt-BR")
    monkeypatch.chdir(tmp_path)
    data = prepare(
        composed("data=files", "subword.size=60", "data.source=[my.en,my.pt-BR]", "data.target=[my.pt-BR,my.en]")
    )
    sources = (data / "text" / "train.en+pt-BR").read_text().splitlines()
    assert {(line.split()[0], line.split()[1].isdigit()) for line in sources} == {("<2pt-BR>", False), ("<2en>", True)}


def test_several_corpora_of_one_direction_need_no_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for corpus, word in (("a", "first"), ("b", "second")):
        for lang in ("en", "de"):
            (tmp_path / f"{corpus}.{lang}").write_text("".join(f"{word} {lang} {n}\n" for n in range(60)))
    files = ("data.source=[a.en,b.en]", "data.target=[a.de,b.de]")
    data = prepare(composed("data=files", "subword.size=60", *files))
    lines = (data / "text" / "train.en").read_text().splitlines()
    assert data.name.startswith("files.en-de.") and not (data / "text" / "test.direction").exists()
    assert {line.split()[0] for line in lines} == {"first", "second"}


MISTAKES = {
    "one file too many": (
        "data.source=[my.en,my.en] data.target=[my.de,my.ko,my.de]",
        "data.target must have 2 files",
    ),
    "no ending": ("data.source=my.en data.target=[my.de,my]", "must differ"),
    "one language twice": ("data.source=[my.en,my.en] data.target=[my.de,other.en]", "must differ, got 'en' and 'en'"),
    "factors": ("data.source=my.en data.target=[my.de,my.ko] subword.factors=[pos]", "subword.factors"),
    "stray extra": (
        "data.source=my.en data.target=[my.de,my.ko] data.extra_source=my.de data.extra_target=my.ko",
        "my.de: direction must be one of en-de, en-ko, got de-ko",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch):
    write_parallel(tmp_path, 60)
    (tmp_path / "my").write_text((tmp_path / "my.de").read_text())
    monkeypatch.chdir(tmp_path)
    files, message = MISTAKES[case]
    with pytest.raises(UserError, match=re.escape(message)):
        prepare(composed("data=files", "subword.size=60", *files.split()))
    assert not [path for path in tmp_path.rglob("*") if path.is_dir() and path.name != "data-bin"]


def test_the_tag_is_put_where_it_is_needed():
    symbols = ["▁", "<2de>", "a", "<2ko>"]
    assert directions.tagger(symbols, "ko", True)("a b") == "<2ko> a b"
    assert directions.tagger(symbols, "ko", True)("<2de> a b") == "<2de> a b"
    assert directions.tagger(["<2en>"], None, True)("a b") == "<2en> a b"  # many to one
    assert directions.tagger(symbols, None, False)("a b") == "a b"  # tags of the user's own
    assert directions.tagger(["a"], None, False)("a b") == "a b"
    with pytest.raises(UserError, match="translate_to requires a model of several target languages, got "):
        directions.tagger(["a"], "de", False)
