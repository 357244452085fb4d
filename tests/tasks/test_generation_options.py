"""fairseq's options of generation through its own commands: each does what it says, or is refused with a reason."""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path

import pytest
from command_line import GENERATE, ROOT, TRAIN, call
from fairseq.dataclass.configs import GenerationConfig

from s2s_plugin.search.options import FAIRSEQ_DEFAULTS, UNSUPPORTED

INTERACTIVE = GENERATE.replace("fairseq-generate", "fairseq-interactive")


def outputs(printed: str) -> dict[int, list[str]]:
    """All hypotheses of each item, in their order."""
    found: dict[int, list[str]] = {}
    for number, text in re.findall(r"^D-(\d+)\t\S+\t(.*)$", printed, re.MULTILINE):
        found.setdefault(int(number), []).append(text)
    return found


def refusal(command: str, **how) -> str:
    """The last line that a command prints, which must fail."""
    done = call(command, check=False, **how)
    assert done.returncode != 0
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert "UserError" in last, last
    return last


@pytest.fixture(scope="module")
def transformer(toy: Path, tmp_path_factory) -> Path:
    """A checkpoint of fairseq's own architecture, hardly trained."""
    folder = tmp_path_factory.mktemp("transformer")
    sizes = "--encoder-embed-dim 16 --decoder-embed-dim 16 --encoder-ffn-embed-dim 16 --decoder-ffn-embed-dim 16"
    command = TRAIN.replace("--arch s2s_tiny", f"--arch transformer --encoder-layers 1 --decoder-layers 1 {sizes}")
    call(command.format(data=toy, save_dir=folder) + " --max-update 3 --disable-validation")
    return folder / "checkpoint_last.pt"


@pytest.mark.slow
def test_constraints_come_with_the_lines(toy: Path, trained: Path):
    """In a batch of different constraints; letters that no plain output holds appear, and only where asked for."""
    lines = "a b c d\ta a\nb c\nd e f g\tg\th h\n"
    command = INTERACTIVE.format(data=toy, path=trained) + " --buffer-size 3 --batch-size 3 --beam 4 --nbest 4"
    for kind in ("unordered", "ordered"):
        found = outputs(call(f"{command} --constraints {kind}", stdin=lines).stdout)
        assert all("a a" in text for text in found[0])
        assert all("g" in text and "h h" in text for text in found[2])
        plain = call(f"{command} --search-patience 1", stdin="b c\n").stdout  # which constraints imply
        assert found[1] == outputs(plain)[0]
    assert "unknown target tokens" in refusal(f"{command} --constraints", stdin="a b\tz\n")
    assert "fairseq-interactive" in refusal(GENERATE.format(data=toy, path=trained) + " --constraints ordered")


@pytest.mark.slow
def test_groups_differ(toy: Path, trained: Path):
    options = " --beam 4 --nbest 4 --diverse-beam-groups 4 --diverse-beam-strength 50"
    for size in (1, 8):
        found = outputs(call(GENERATE.format(data=toy, path=trained) + f"{options} --batch-size {size}").stdout)
        assert sorted(found) == list(range(13))
        assert all(len({text.split()[0] for text in texts}) == len(texts) == 4 for texts in found.values())


@pytest.mark.slow
def test_the_risk_chooses(toy: Path, trained: Path):
    """The same hypotheses in another order, by fairseq-generate and fairseq-interactive alike."""
    command = GENERATE.format(data=toy, path=trained)
    drawn = " --sampling --beam 16 --nbest 16 --temperature 2 --max-len-b 9"
    plain, again, risk = (outputs(call(command + drawn + o).stdout) for o in ("", " --batch-size 2", " --mbr chrf"))
    assert plain == again
    assert {n: sorted(texts) for n, texts in plain.items()} == {n: sorted(texts) for n, texts in risk.items()}
    assert any(plain[n][0] != risk[n][0] for n in plain)
    options = " --beam 6 --nbest 6 --temperature 3 --mbr chrf"
    typed = INTERACTIVE.format(data=toy, path=trained) + options + " --buffer-size 20 --batch-size 5"
    lines = (toy.parent / "test.src").read_text()
    assert outputs(call(typed, stdin=lines).stdout) == outputs(call(command + options).stdout)


@pytest.mark.slow
def test_an_ensemble_with_a_transformer(toy: Path, trained: Path, transformer: Path):
    """By fairseq's own search; what only ours does is refused, and n-grams are blocked for once."""
    command = GENERATE.format(data=toy, path=f"{trained}:{transformer}") + " --max-len-b 12 --lenpen 2"
    done = call(f"{command} --no-repeat-ngram-size 2 --mbr chrf")
    assert "fairseq's own search is used for: TransformerModel" in done.stdout + done.stderr
    found = outputs(done.stdout)
    assert sorted(found) == list(range(13))
    for texts in found.values():
        letters = texts[0].split()
        pairs = list(itertools.pairwise(letters))
        assert len(set(pairs)) == len(pairs)
    assert "repetition_penalty" in refusal(f"{command} --repetition-penalty 1.2")


@pytest.mark.slow
def test_scores_of_an_ensemble_are_those_of_its_references(toy: Path, trained: Path):
    """Of two equal models as of one; options of a search do not count; alignments point into the source."""
    one, two = (
        call(GENERATE.format(data=toy, path=path) + " --score-reference --print-alignment").stdout
        for path in (trained, f"{trained}:{trained}")
    )
    assert re.findall(r"^P-.*$", one, re.MULTILINE) == re.findall(r"^P-.*$", two, re.MULTILINE)
    for number, pairs in re.findall(r"^A-(\d+)\t(.*)$", one, re.MULTILINE):
        source = re.search(rf"^S-{number}\t(.*)$", one, re.MULTILINE)[1].split()
        assert [int(pair.split("-")[1]) for pair in pairs.split()] == list(range(len(source)))
        assert all(0 <= int(pair.split("-")[0]) <= len(source) for pair in pairs.split())
    assert "fairseq-generate" in refusal(INTERACTIVE.format(data=toy, path=trained) + " --score-reference", stdin="a\n")


def test_unknown_words_become_the_source_words_that_were_read(toy: Path, trained: Path, tmp_path: Path):
    """In a padded batch: a model that may write nothing but <unk>, and sources with words that no vocabulary has."""
    for side in ("src", "tgt"):
        shutil.copy(toy / f"dict.{side}.txt", tmp_path)
        (tmp_path / f"test.src-tgt.{side}").write_text("a zebra c d\nzoo\ne f\n")  # as --dataset-impl raw leaves it
    command = GENERATE.format(data=tmp_path, path=trained) + " --unkpen -50 --max-len-a 1 --max-len-b -1 --beam 2"
    soft = call(f"{command} --print-alignment soft").stdout
    (tmp_path / "words.txt").write_text("zebra ZEBRA\nzoo ZOO\n")
    known = {"zebra": "ZEBRA", "zoo": "ZOO"}
    for option, spelt in (("--replace-unk", {}), (f"--replace-unk {tmp_path}/words.txt", known)):
        found = outputs(call(f"{command} {option} --dataset-impl raw").stdout)
        for number, line in enumerate(("a zebra c d", "zoo", "e f")):
            words = line.split()
            rows = re.search(rf"^A-{number}\t(.*)$", soft, re.MULTILINE)[1].split()[: len(words)]
            weights = [[float(weight) for weight in row.split(",")][: len(words)] for row in rows]
            read = [words[row.index(max(row))] for row in weights]
            assert found[number] == [" ".join(spelt.get(word, word) for word in read)]
    assert "no such file" in refusal(f"{command} --replace-unk {tmp_path}/nowhere --dataset-impl raw")


@pytest.mark.slow
def test_a_language_model_has_its_say(toy: Path, trained: Path, tmp_path: Path):
    """By fairseq's own search; the model of a shape that fairseq still trains with this numpy."""
    shutil.copytree(toy, tmp_path / "bin")
    shutil.copy(toy / "dict.tgt.txt", tmp_path / "bin" / "dict.txt")  # as fairseq wants it
    texts = f"--trainpref {toy.parent}/valid.tgt --validpref {toy.parent}/valid.tgt"
    call(f"fairseq-preprocess --only-source {texts} --srcdict {toy}/dict.tgt.txt --destdir {tmp_path}/lm --workers 1")
    sizes = "--decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 16 --decoder-attention-heads 2"
    call(
        f"fairseq-train {tmp_path}/lm --task language_modeling --arch transformer_lm {sizes} --cpu --optimizer adam "
        f"--lr 0.01 --tokens-per-sample 64 --max-tokens 1000 --max-update 2 --disable-validation --num-workers 0 "
        f"--save-dir {tmp_path} --no-epoch-checkpoints --required-batch-size-multiple 1"
    )
    command = GENERATE.format(data=tmp_path / "bin", path=trained) + " --max-len-b 12"
    fused = call(f"{command} --lm-path {tmp_path}/checkpoint_last.pt --lm-weight 0.3")
    assert "fairseq's own search is used for: generation.lm_path (--lm-path)" in fused.stdout + fused.stderr
    plain = call(command).stdout
    assert sorted(outputs(fused.stdout)) == sorted(outputs(plain)) == list(range(13))
    assert re.findall(r"^P-.*$", fused.stdout, re.MULTILINE) != re.findall(r"^P-.*$", plain, re.MULTILINE)


@pytest.mark.parametrize("option", ["--prefix-size 1", "--lm-path lm.pt --lm-weight 0.1"])
def test_interactive_refuses_what_it_would_ignore(toy: Path, trained: Path, option: str):
    assert "fairseq-generate" in refusal(INTERACTIVE.format(data=toy, path=trained) + f" {option}", stdin="a b\n")


def test_every_option_of_fairseqs_is_in_the_manual():
    """docs/search.md has a row for each; those refused are the ones that the code refuses."""
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (\w+)", text, re.MULTILINE))
    names = {name.replace("_", "-") for name in GenerationConfig.__dataclass_fields__ if not name.startswith("_")}
    assert rows.keys() >= names
    refused = {name for name, how in rows.items() if how == "refused"}
    assert {name.replace("_", "-") for name in UNSUPPORTED} == refused
    assert set(UNSUPPORTED) <= set(FAIRSEQ_DEFAULTS)
