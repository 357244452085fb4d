"""A run folder made by hand, and the page of its report read back by an HTML parser."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from pathlib import Path

INPUTS = ("config.yaml", "log.txt", "outputs.jsonl", "scores.json", "commands.txt")
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
CONFIG = """\
app: text
name: toy & co
data: {name: multi30k}
model:
  {encoder_layers: 2, encoder_cell: gru, encoder_bidirectional: first, encoder_hidden_size: 64, attention: dot,
   decoder_layers: 1, decoder_cell: lstm, decoder_hidden_size: 32, decoder_type: luong}
"""
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


class Page(HTMLParser):
    """The parts of a page that the tests ask for."""

    VOID = {"meta", "img", "wbr", "br", "link", "input"}

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


def write_run(folder: Path) -> Path:
    """A small run, complete and realistic, in a new folder of ``folder``."""
    run = folder / "run <1>"
    run.mkdir()
    (run / "config.yaml").write_text(CONFIG, encoding="utf-8")
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
        "BLEU": {
            "score": 31.24,
            "signature": SIGNATURE,
            "higher_is_better": True,
            "interval": [29.96, 32.61],
            "bootstrap": "bs:1000|seed:12345",
        },
        "TER": {"score": 51.0, "signature": "nrefs:1", "higher_is_better": False},
    }
    scores = {"subset": "test", "sentences": 1000, "metrics": metrics, "search": {"beam": 5, "lenpen": 1.0}}
    scores |= {
        "baselines": {"copy of the source": {"BLEU": 3.1}},
        "seed": 1,
        "train_seconds": 601.2,
        "updates": 200,
        "parameters": 54321,
    }
    scores["precision"] = "fp32, products bf16"
    (run / "scores.json").write_text(json.dumps(scores))
    commands = "# prepare\nfairseq-preprocess --source-lang de\n\n# train\nfairseq-train data \\\n  --arch s2s\n"
    (run / "commands.txt").write_text(commands)
    return run


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


def read(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.unclosed == []
    return page


def squeeze(text: str) -> str:
    return " ".join(text.split())
