"""What a later stage takes from the run, and what the command line may change."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from command_line import call, printed_commands
from own_run import overrides


def test_later_stages_need_not_be_told_the_data_again(finished, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    run = folder / "runs" / "nmt" / "default"
    config = (run / "config.yaml").read_bytes()
    call("s2s generate app=nmt generation.beam=2", cwd=folder)
    done = call("s2s score app=nmt scoring.sacrebleu_lowercase=true", cwd=folder)
    assert "case:lc|eff:no|tok:13a" in done.stdout
    scores = json.loads((run / "scores.json").read_text())
    assert scores["search"]["beam"] == 2 and scores["sentences"] == len((run / "test.hyp").read_text().splitlines())
    call("s2s report app=nmt", cwd=folder)
    assert (run / "config.yaml").read_bytes() == config


def test_one_named_option_leaves_the_others_as_they_were(finished, tmp_path: Path):
    """Also where the user's files have moved: these stages do not read them."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    config = folder / "runs/nmt/default/config.yaml"
    changed = re.sub(r"(\n  max_len_b: )10\n", r"\g<1>11\n", config.read_text())
    changed = re.sub(r"(\n  (?:source|target): ).*letters", r"\g<1>/moved/letters", changed)
    changed = changed.replace("max_source_positions: 1024", "max_source_positions: 99")
    assert len(set(changed.splitlines()) - set(config.read_text().splitlines())) == 4
    config.write_text(changed.partition("\n")[2])  # without the checksum: edited, not damaged
    done = call("s2s generate app=nmt generation.beam=2 task.search_patience=2", cwd=folder)
    (command,) = printed_commands(done.stderr)
    assert re.search(r"--beam 2 .*--max-len-b 11\b", command)
    assert "--max-source-positions 99" in command and "--search-patience 2" in command
    assert (
        "up to date, skipping"
        in call("s2s generate app=nmt generation.beam=2 task.search_patience=2", cwd=folder).stderr
    )
    longer = "s2s generate app=nmt generation.beam=2 task.search_patience=2 task.max_source_positions=98"
    assert "up to date, skipping" not in call(longer, cwd=folder).stderr


def test_how_much_is_read_by_hand_can_be_said(finished):
    for option, read in (("", None), ("task.max_source_positions=4", 3)):
        done = call(f"s2s translate app=nmt {option}", cwd=finished[0], stdin="a b c d e f g\n")
        assert len(done.stdout.splitlines()) == 1
        assert (f"truncated to {read} of" in done.stderr) == (read is not None)


def test_a_faster_search_says_what_it_costs(finished, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    done = call("s2s generate app=nmt task.search_precision=int8 task.shortlist=50", cwd=folder)
    assert re.search(
        r"shortlist=50, search_precision=int8: \d+ of \d+ validation outputs as with the exact search; "
        r"BLEU [\d.]+, not [\d.]+",
        done.stderr,
    )
    assert re.search(r"the shortlist lacks [\d.]+% of the validation tokens", done.stderr)
    assert "--search-precision int8" in done.stderr and "--shortlist 50" in done.stderr
    cost = json.loads((folder / "runs/nmt/default/speed.json").read_text())
    assert cost["metrics"]["BLEU"]["score"] == pytest.approx(cost["metrics"]["BLEU"]["plain"], abs=5)
    call("s2s score app=nmt", cwd=folder)
    search = json.loads((folder / "runs/nmt/default/scores.json").read_text())["search"]
    assert search["search_precision"] == "int8" and search["shortlist"] == 50
    call("s2s generate app=nmt task.search_precision=fp32 task.shortlist=0", cwd=folder)
    assert not (folder / "runs/nmt/default/speed.json").exists()


def test_translate_reads_lines(finished, own_files: Path):
    folder, _ = finished
    rows = [json.loads(line) for line in (folder / "runs/nmt/default/outputs.jsonl").read_text().splitlines()][:3]
    done = call("s2s translate app=nmt data=files", cwd=folder, stdin="".join(row["source"] + "\n" for row in rows))
    assert done.stdout.splitlines() == [row["hypothesis"] for row in rows]


NO_EFFECT = {
    "model.dropout=0.5": ("model.dropout", "0.1, got 0.5"),
    "optimization.lr=[0.3]": ("optimization.lr", "[0.01], got [0.3]"),
    "model=luong": ("model.", "leave model out"),
    "criterion=s2s_cross_entropy criterion.label_smoothing=0.3": ("criterion.", "leave criterion"),
    "optimizer.weight_decay=0.1": ("optimizer.weight_decay", "0.0, got 0.1"),
    "ema.store_ema=false": ("ema.store_ema", "True, got False"),
    "task.eval_beam=3": ("task.eval_beam", "2, got 3"),
    "average=5": ("average", "0, got 5"),
}


ONE_OF_A_KIND = ("model.dropout=0.5", "model=luong", "average=5")  # a value, a choice, an option of the stage


@pytest.mark.parametrize(
    "options",
    [*ONE_OF_A_KIND, *(pytest.param(each, marks=pytest.mark.slow) for each in NO_EFFECT if each not in ONE_OF_A_KIND)],
)
def test_options_of_training_are_refused(finished, options: str):
    stage = "generate" if options == "model.dropout=0.5" else "translate"  # refused in one place
    done = call(f"s2s {stage} app=nmt {options}", cwd=finished[0], stdin="a b\n", check=False)
    (error,) = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == "" and "only affects training" in error
    assert all(part in error for part in NO_EFFECT[options]), error


def test_options_of_the_data_are_refused_where_none_is_read(finished):
    for option in ("data.max_length=7", "data=ding", "subword.size=41"):
        done = call(f"s2s translate app=nmt {option}", cwd=finished[0], stdin="a b\n", check=False)
        assert done.returncode == 2 and "only affects training" in done.stderr.splitlines()[-1]


def test_what_the_run_was_trained_with_may_be_repeated(finished, own_files: Path):
    """And what affects decoding may change."""
    for options in (
        overrides(own_files),
        "generation.beam=2 task.mbr=chrf task.seed=2 dataset.max_tokens=99 workers=1",
    ):
        assert call(f"s2s translate app=nmt {options}", cwd=finished[0], stdin="a b\n").stdout.count("\n") == 1
