"""The report of a run: what is on the page, read back by an HTML parser, and its pictures."""

from __future__ import annotations

import base64
import builtins
import io
import itertools
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from s2s_plugin.errors import UserError
from s2s_plugin.pipeline.report import write_report
from s2s_plugin.pipeline.report.curves import make_panels, thin
from s2s_plugin.pipeline.report.examples import choose, highlight, rate
from s2s_plugin.pipeline.report.fonts import font_for
from s2s_plugin.pipeline.report.heatmap import draw
from s2s_plugin.pipeline.report.lengths import bucket_ranges
from s2s_plugin.pipeline.report.log import read_curves
from s2s_plugin.pipeline.report.plot import to_png
from s2s_plugin.pipeline.report.run import Attention, Output
from s2s_plugin.pipeline.report.svg import log_ticks, ticks
from s2s_plugin.pipeline.report.words import count_words, split

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

INPUTS = ("config.yaml", "log.txt", "outputs.jsonl", "attention.jsonl", "scores.json", "commands.txt")
PAIRS = [
    ("A dog runs across the grass.", "개 한 마리가 잔디밭을 달린다.", "개 한 마리가 풀밭을 달린다."),
    ("Two men are talking.", "두 남자가 이야기하고 있다.", "두 남자가 이야기하고 있다."),
    (
        'Ein <b>kleines</b> Kind & ein "Hund"',
        'A <b>small</b> child & a "dog"',
        'A <b>young</b> child & "dog"',
    ),
    ("Hallo Welt 👋", "Hello world 👋", "Hello 👋"),
    ("مرحبا بالعالم الجميل", "שלום לעולם היפה", "שלום עולם"),
    ("<script>alert(1)</script>", "&lt;script&gt; stays", ""),
    (" ".join(f"Wort{n}" for n in range(200)), " ".join(f"word{n}" for n in range(200)), "word0 word1"),
    ("Ein Mann fährt Rad.", "A man rides a bicycle.", "A man rides a bike."),
]
ATTENTION = {
    "id": 0,
    "source_tokens": ["▁A", "▁dog", '▁<b>&"', "。", "</s>"],
    "target_tokens": ["▁개", "▁달린다", "漢字", "</s>"],
    "attention": [[0.7, 0.1, 0.1, 0.05, 0.05], [0, 1, 0, 0, 0], [0.2] * 5, [0.001, 0, 0, 0.009, 0.99]],
}
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


class Page(HTMLParser):
    """The parts of a page that the tests ask for."""

    VOID = {"meta", "img", "wbr", "br", "link"}

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.unclosed: list[str] = []
        self.example: str | None = None
        self.examples: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in self.VOID:
            self.unclosed.append(tag)
        if tag == "article":
            self.example = attributes.get("id")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag
        if tag == "article":
            self.example = None

    def handle_data(self, data: str) -> None:
        if self.unclosed and self.unclosed[-1] in ("style", "script"):
            return
        self.text += data
        if self.example:
            self.examples[self.example] = self.examples.get(self.example, "") + data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [value for found, attrs in self.tags if found == tag and (value := attrs.get(name)) is not None]

    def saved(self) -> dict[str, bytes]:
        """The pictures that the page lets one save, by file name."""
        links = [attrs for tag, attrs in self.tags if tag == "a" and "download" in attrs]
        return {str(a["download"]): base64.b64decode(str(a["href"]).split(",", 1)[1]) for a in links}


def inner(updates: int, loss: float) -> str:
    return json.dumps({"epoch": 1, "update": 0.5, "loss": f"{loss}", "wps": "1200", "num_updates": f"{updates}"})


def valid(updates: int, loss: float, bleu: float) -> str:
    record = {"epoch": 1, "valid_loss": f"{loss}", "valid_nll_loss": "2.2", "valid_ppl": f"{2**loss:.2f}"}
    record |= {
        "valid_bleu": f"{bleu}",
        "valid_num_updates": f"{updates}",
        "valid_best_loss": "2",
        "valid_wps": "9",
    }
    return json.dumps(record)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A small run, complete and realistic."""
    run = tmp_path / "run <1>"
    run.mkdir()
    (run / "config.yaml").write_text("app: text\nname: toy & co\ndata: {name: multi30k}\n", encoding="utf-8")
    log = [
        "training starts",
        inner(50, 9.0),
        inner(100, 7.0),
        valid(100, 6.0, 3.5),
        inner(150, 5.0),
        "{cut sho",
    ]
    (run / "log.txt").write_text("\n".join([*log, inner(200, 4.0), valid(200, 3.0, 20.25), ""]))
    items = [
        {"id": n, "source": s, "reference": r, "hypothesis": h, "score": -0.43 - n, "length": 7}
        for n, (s, r, h) in enumerate(PAIRS)
    ]
    (run / "outputs.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (run / "attention.jsonl").write_text(json.dumps(ATTENTION) + "\n")
    metrics = {
        "BLEU": {"score": 31.24, "signature": SIGNATURE, "higher_is_better": True},
        "TER": {"score": 51.0, "signature": "nrefs:1", "higher_is_better": False},
    }
    scores = {"subset": "test", "sentences": 1000, "metrics": metrics, "search": {"beam": 5, "lenpen": 1.0}}
    scores |= {"baselines": {"copy of the source": {"BLEU": 3.1}}, "seed": 1, "train_seconds": 601.2}
    (run / "scores.json").write_text(json.dumps(scores))
    commands = "# prepare\nfairseq-preprocess --source-lang de\n\n# train\nfairseq-train data \\\n  --arch s2s\n"
    (run / "commands.txt").write_text(commands)
    return run


def read(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.unclosed == []
    return page


def squeeze(text: str) -> str:
    return " ".join(text.split())


def test_page_is_self_contained(run_dir: Path) -> None:
    path = write_report(run_dir)
    assert path == run_dir / "report.html"
    page = read(path)
    links = page.attributes("a", "href") + page.attributes("img", "src")
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert page.attributes("script", "src") == []
    ids = [value for _, attrs in page.tags if (value := attrs.get("id"))]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert "url(" not in path.read_text() and "@import" not in path.read_text()


def test_header_scores_commands_and_configuration(run_dir: Path) -> None:
    text = squeeze(read(write_report(run_dir)).text)
    for part in ("toy & co", "multi30k", "31.2", "51.0", SIGNATURE, "higher is better", "lower is better"):
        assert part in text
    for part in ("copy of the source 3.1", "beam 5, lenpen 1.0", "10 min 1 s", "test, 1,000 sentences"):
        assert part in text
    for part in (
        "fairseq-preprocess --source-lang de",
        "fairseq-train data \\ --arch s2s",
        "data: {name: multi30k}",
    ):
        assert part in text


def test_every_example_is_there_once_and_escaped(run_dir: Path) -> None:
    page = read(write_report(run_dir))
    assert set(page.examples) == {f"example-{number}" for number in range(len(PAIRS))}
    for number, (source, reference, hypothesis) in enumerate(PAIRS):
        text = page.examples[f"example-{number}"]
        assert source in text and reference in text
        assert (hypothesis or "(empty)") in text
        assert f"−{0.43 + number:.2f}" in text
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_heatmap_cells_are_the_attention(run_dir: Path) -> None:
    page = read(write_report(run_dir))
    cells = [float(style.split(":")[1]) for style in page.attributes("td", "style")]
    weights = np.array(cells).reshape(len(ATTENTION["target_tokens"]), len(ATTENTION["source_tokens"]))
    np.testing.assert_allclose(weights, ATTENTION["attention"], atol=5.1e-4)
    for token in ATTENTION["source_tokens"] + ATTENTION["target_tokens"]:
        assert token in page.text
    assert "▁달린다 ← ▁dog: 1.000" in page.attributes("td", "title")


def test_pictures_decode_and_are_not_blank(run_dir: Path) -> None:
    stale = run_dir / "report" / "attention-9.png"
    stale.parent.mkdir()
    stale.write_bytes(b"from an earlier report")
    saved = read(write_report(run_dir)).saved()
    files = {path.name: path.read_bytes() for path in (run_dir / "report").iterdir()}
    assert set(files) == {"curves.png", "bleu_by_length.png", "attention-1.png"}
    assert files == saved
    for name, content in files.items():
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert min(pixels.shape[:2]) > 150, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name
    assert not list(run_dir.glob(".*"))


def test_attention_picture_has_the_weights() -> None:
    weights = tuple(tuple(row) for row in ATTENTION["attention"])
    figure, lacking = draw(Attention(0, ("a", "b", "c", "d", "e"), ("v", "w", "x", "y"), weights))
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), ATTENTION["attention"])
    assert image.get_clim() == (0, 1)
    assert lacking == set()


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_or_empty_file_leaves_a_note(run_dir: Path, name: str, empty: bool) -> None:
    (run_dir / name).unlink()
    if empty:
        (run_dir / name).touch()
    text = squeeze(read(write_report(run_dir)).text)
    assert f"Nothing in {name} yet. The" in text
    assert text.count("Nothing in") == (2 if name == "outputs.jsonl" else 1)


def test_an_empty_run_folder(tmp_path: Path) -> None:
    text = read(write_report(tmp_path)).text
    assert text.count("Nothing in") == 7
    assert tmp_path.name in text


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: not a run folder"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("outputs.jsonl", '{"hypothesis": "a", "reference": "b"}\n{"hypo', r"outputs\.jsonl:2: not JSON"),
        ("outputs.jsonl", '{"id": 1}', r"outputs\.jsonl:1: no text under 'hypothesis'"),
        ("scores.json", "[1]", r"scores\.json: expected a JSON object, got list"),
        (
            "attention.jsonl",
            json.dumps({**ATTENTION, "attention": [[1.0]]}),
            r"attention\.jsonl:1: .* 1 rows",
        ),
    ],
)
def test_a_broken_file_is_named(run_dir: Path, name: str, content: str, message: str) -> None:
    (run_dir / name).write_text(content)
    with pytest.raises(UserError, match=message):
        write_report(run_dir)
    assert not (run_dir / "report.html").exists()


def test_without_matplotlib(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: object, **kwargs: object) -> object:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 's2s-plugin\[viz\]'"):
        write_report(run_dir)


def test_log_keeps_the_last_of_repeated_updates(tmp_path: Path) -> None:
    """Stopped after 200 and continued from the checkpoint at 100: all that came after 100 is replaced."""
    log = tmp_path / "log.txt"
    first = [inner(50, 9), inner(100, 8), valid(100, 7, 1), inner(150, 6.5), inner(200, 6), valid(200, 5, 2)]
    log.write_text("\n".join([*first, "restored", inner(150, 4), "nonsense {", inner(200, 3), inner(250, "nan")]))
    curves = read_curves(log)
    assert curves.inner == {50: 9, 100: 8, 150: 4, 200: 3}
    assert curves.valid["loss"]["valid"] == {100: 7}
    log.write_text(log.read_text() + "\n" + valid(200, 2.5, 30) + "\n" + valid(200, 2.25, 31))
    curves = read_curves(log)
    assert curves.valid["bleu"]["valid"] == {100: 1, 200: 31}
    assert set(curves.valid) == {"loss", "nll_loss", "ppl", "bleu"}
    panels = make_panels(curves, {})
    assert [panel.title for panel in panels] == ["Loss", "BLEU", "Perplexity"]
    assert [panel.best for panel in panels] == [(200, 2.25), (200, 31), (200, round(2**2.25, 2))]


def test_log_with_prefixes_epochs_and_other_metrics(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    epoch = {"epoch": 1, "train_loss": "5.5", "train_num_updates": "40", "train_lr": "0.1", "train_wall": "3"}
    other = {"epoch": 1, "dev2_wer": "44.5", "dev2_sari": "1", "dev2_num_updates": "40"}
    fairseq, hydra = "2024-01-01 10:00:00 | INFO | train | ", "[2024-01-01 10:00:00,000][valid][INFO] - "
    log.write_text(f"{fairseq}{json.dumps(epoch)}\n{hydra}{json.dumps(other)}\n")
    curves = read_curves(log)
    assert curves.train == {40: 5.5}
    panels = make_panels(curves, {"metrics": {"SARI": {"score": 1, "higher_is_better": True}}})
    assert [(panel.title, panel.best) for panel in panels] == [
        ("Loss", None),
        ("WER", (40, 44.5)),
        ("sari", (40, 1)),
    ]


def test_bucket_scores_are_sacrebleus(run_dir: Path) -> None:
    import sacrebleu

    text = squeeze(read(write_report(run_dir)).text)
    short = [(h, r) for s, r, h in PAIRS if count_words(s) <= 50]
    hypotheses, references = [h for h, _ in short], [[r for _, r in short]]
    bleu = sacrebleu.corpus_bleu(hypotheses, references).score
    chrf = sacrebleu.corpus_chrf(hypotheses, references).score
    assert f"1–50{len(short)}{bleu:.1f}{chrf:.1f}" in text  # the row of the table
    assert "151–2001" in text


def test_signals_and_several_references(run_dir: Path) -> None:
    """No source text: buckets by length; the nearest of the references is the one compared with."""
    items = [
        {"id": n, "source": None, "reference": ["nothing alike", f"words {n}"], "hypothesis": f"words {n}"}
        for n in range(4)
    ]
    lengths = (120, 480, 900, 2900)
    lines = [json.dumps({**item, "length": length}) for item, length in zip(items, lengths, strict=True)]
    (run_dir / "outputs.jsonl").write_text("\n".join(lines))
    page = read(write_report(run_dir))
    assert "Source" not in page.examples["example-0"]
    assert "chrF 100.0" in page.examples["example-3"]
    assert "1–500" in page.text and "2501+" in page.text and "Steps" in page.text


@pytest.mark.parametrize(
    ("lengths", "first", "last"),
    [
        ([*range(1, 60), 200], (1, 10), (51, None)),
        ([100, 200, 3000], (1, 500), (2501, None)),
        ([0], (0, 10), (51, None)),
    ],
)
def test_bucket_ranges_meet(lengths: list[int], first: tuple, last: tuple) -> None:
    ranges = bucket_ranges(lengths)
    assert (ranges[0], ranges[-1]) == (first, last)
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(ranges))


def test_choose_repeats_nothing_and_is_reproducible() -> None:
    outputs = [Output(n, None, ("a b c d e f g",), "a b c d e f g"[:n], -1.0, n) for n in range(1, 41)]
    outputs += [Output(50, None, (), "no reference", None, None)]
    groups = choose([rate(output) for output in outputs])
    ids = [example.output.id for _, examples in groups for example in examples]
    assert [len(examples) for _, examples in groups] == [5, 5, 5]
    assert len(set(ids)) == 15
    assert ids == [e.output.id for _, group in choose([rate(output) for output in outputs]) for e in group]
    assert groups[1][1][0].output.id == 1  # the shortest has least in common with the reference


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("a b c", "a x c", "a <ins>b</ins> c"),
        ("<i> & b", "", "<ins>&lt;i&gt; &amp; b</ins>"),
        ("我喜欢猫", "我喜欢狗", "我喜欢<ins>猫</ins>"),
        ("don't stop", "don't", "don&#x27;t <ins>stop</ins>"),
        ("same", "same", "same"),
    ],
)
def test_highlight(text: str, other: str, expected: str) -> None:
    assert highlight(text, other, "ins") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog's life, isn't it?", 5),
        ("두 남자가 이야기한다.", 3),
        ("我喜欢猫。", 4),
        ("हिन्दी में", 2),
        ("—", 0),
        ("", 0),
    ],
)
def test_words(text: str, words: int) -> None:
    assert count_words(text) == words
    assert "".join(split(text)) == text


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 100, about=4) == [0, 25, 50, 75, 100]
    assert log_ticks(1.5, 400) == [2, 5, 10, 20, 50, 100, 200]
    assert log_ticks(1, 1e6) == [10.0**power for power in range(7)]


def test_thin_keeps_the_mean() -> None:
    points = [(float(x), float(x % 7)) for x in range(1000)]
    fewer = thin(points, most=100)
    assert len(fewer) == 100
    assert math.isclose(sum(y for _, y in fewer) / 100, sum(y for _, y in points) / 1000)


def test_fonts_cover_latin_and_report_what_lacks() -> None:
    font, lacking = font_for("▁straße")
    assert lacking == set() and Path(font.get_file()).is_file()
    _, lacking = font_for("a\U000f0000")  # a private character
    assert lacking == {"\U000f0000"}


def test_fonts_cover_hangul_and_han_with_the_font_package() -> None:
    pytest.importorskip("noto_cjk_sans_jp_regular")
    assert font_for("▁한국어漢字かな")[1] == set()


def test_every_label_of_a_picture_has_the_font_that_has_its_characters() -> None:
    source, target = ("▁한국어", "$x$", "漢字", "</s>"), ("▁A", "▁조사", "مرحبا")
    figure, _ = draw(Attention(1, source, target, ((0.25,) * 4,) * 3))
    to_png(figure)
    axes = figure.axes[0]
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    assert [label.get_text() for label in labels] == [*source, *target]
    for label in labels:
        assert label.get_visible() and not label.get_parse_math()
        assert label.get_fontproperties().get_file() == font_for(label.get_text())[0].get_file()
