"""``s2s backtranslate``: pairs of monolingual text, also after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from omegaconf import OmegaConf

from s2s_plugin.errors import UserError
from s2s_plugin.inference import backtranslate as module
from s2s_plugin.inference.backtranslate import backtranslate
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import load_translator

LINES = [" ".join("abcdefgh"[(3 * n + i) % 8] for i in range(2 + n % 5)) for n in range(90)]


@pytest.fixture
def here(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``here(table, **generation)``: the command in this process, on the lines in ``more.en``."""
    monkeypatch.chdir(tmp_path)
    Path("more.en").write_text("".join(f"{line}\n" for line in LINES))
    run = RunDir(small_model / "runs/nmt/default")

    def command(table: str, text: str = "more.en", **generation) -> list[dict]:
        cfg = OmegaConf.load(run.config)
        cfg.task.data, cfg.workers = str(run.data), 1
        cfg.generation.update(generation)
        backtranslate(cfg, run, [text, table])
        return [json.loads(line) for line in Path(table).read_text().splitlines()]

    return command


def test_pairs_are_lines_and_their_translations(small_model: Path, here, capsys: pytest.CaptureFixture):
    """Without copies, outputs of another length and empty lines; what is left can be trained on."""
    odd = ["", 'a b c\tdef "quoted', "h"]
    Path("odd.en").write_text("".join(f"{line}\n" for line in [*LINES, *odd]))
    pairs = here("pairs.jsonl", "odd.en")
    assert capsys.readouterr().out == "pairs.jsonl\n"
    run = RunDir(small_model / "runs/nmt/default")
    cfg = OmegaConf.load(run.config)
    cfg.task.data, cfg.workers = str(run.data), 1
    outputs = [each.text for each in load_translator(cfg, run).translate([*LINES, *odd])]
    expected = [
        {"de": output, "en": line}
        for output, line in zip(outputs, [*LINES, *odd], strict=True)
        if line and output and 1 / 3 <= len(output) / len(line) <= 3 and output.casefold() != line.casefold()
    ]
    assert pairs == expected and len(pairs) > 60
    settings = "app=nmt data=files data.source=more.en data.target=same.de data.extra_pairs=pairs.jsonl subword.size=40"
    Path("same.de").write_text("".join(f"{line[::-1].upper()}\n" for line in LINES))
    done = call(f"s2s prepare {settings} data.held_out=5 'data.extra_tag=<bt>'", cwd=Path.cwd())
    assert "extra training pairs kept" in done.stderr
    text = next(Path("data-bin").glob("files.*")) / "text/train.en"
    assert sum(line.startswith("<bt> ") for line in text.read_text().splitlines()) > 20


def test_an_interruption_changes_nothing(here, monkeypatch: pytest.MonkeyPatch):
    """Nor does what had been written when it came, sampling included."""
    monkeypatch.setattr(module, "WINDOW", 12)
    sampling = {"sampling": True, "beam": 1}
    whole = here("whole.jsonl", **sampling)
    calls = iter(range(100))

    def interrupt() -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.interrupt, "check", interrupt)
        with pytest.raises(KeyboardInterrupt):
            here("parts.jsonl", **sampling)
    partial = Path("parts.jsonl.partial")
    assert 0 < len(partial.read_text().splitlines()) < len(whole) and not Path("parts.jsonl").exists()
    with partial.open("a") as file:
        file.write('{"de": "half a l')
    assert here("parts.jsonl", **sampling) == whole
    assert not partial.exists() and not Path("parts.jsonl.progress.json").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "name a file of text"), (["more.en", "pairs.csv"], r"TABLE\.jsonl"), (["none.en", "pairs.jsonl"], "no such"),
     (["more.en", "there.jsonl"], "is there already")],
)  # fmt: skip
def test_mistakes(here, small_model: Path, names: list[str], message: str):
    Path("there.jsonl").touch()
    with pytest.raises(UserError, match=message):
        backtranslate(OmegaConf.create(), RunDir(small_model), names)
