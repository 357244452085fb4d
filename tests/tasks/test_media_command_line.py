"""Speech, video and pictures through fairseq's own commands, on data that s2s prepare made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from command_line import call
from media import make_items

from s2s_plugin.datasets.manifest import write_manifest

FRONTEND = {
    "audio": "audio.sample_rate=8000 audio.mel_bins=40",
    "video": "video.height=16 video.width=32",
    "image": "image.size=16",
}
TRAIN = (
    "fairseq-train {data} --user-dir s2s_plugin --task s2s --arch s2s_tiny --cpu --encoder-channels 8 "
    "--attention {attention} --ctc --optimizer adam --lr 0.005 --clip-norm 1.0 --criterion s2s_cross_entropy "
    "--ctc-weight {ctc} --max-tokens 1200 --max-update {updates} --num-workers 0 --no-epoch-checkpoints "
    "--eval-metric exact --best-checkpoint-metric exact --maximize-best-checkpoint-metric --log-format json "
    "--time-stretch 0.1 --translate 0.05 --save-dir {save_dir}"
)
GENERATE = (
    "fairseq-generate {data} --user-dir s2s_plugin --task s2s --cpu --path {path} --scoring s2s_exact --max-len-b 20"
)


def hypotheses(output: str) -> dict[int, str]:
    return {int(n): text for n, text in re.findall(r"^D-(\d+)\t\S+\t(.*)$", output, re.MULTILINE)}


def scores(output: str) -> dict[int, float]:
    return {int(n): float(score) for n, score in re.findall(r"^H-(\d+)\t(\S+)\t", output, re.MULTILINE)}


@pytest.fixture(
    scope="module", params=["image", *(pytest.param(name, marks=pytest.mark.slow) for name in ("audio", "video"))]
)
def prepared(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """Modality, folder of media and prepared folder of a toy corpus of 400 files."""
    modality, folder = request.param, tmp_path_factory.mktemp(request.param)
    items = make_items(folder / "media", modality, 400)
    write_manifest(folder / "my.tsv", modality, items)
    app = {"audio": "asr", "video": "lipread", "image": "caption"}[modality]
    done = call(
        f"s2s prepare app={app} data=manifest data.manifest={folder}/my.tsv data.held_out=40 subword.kind=word "
        f"prepared_dir={folder}/bin {FRONTEND[modality]}"
    )
    (out,) = re.findall(r"tokens, in\s+(\S+)$", done.stderr, re.MULTILINE)
    return modality, folder, Path(out)


@pytest.fixture(scope="module")
def trained(prepared) -> Path:
    modality, folder, data = prepared
    image = modality == "image"
    command = TRAIN.format(
        data=data,
        save_dir=folder / "checkpoints",
        updates=80 if image else 250,
        attention="general" if image else "location",
        ctc=0 if image else 0.3,
    )
    call(command)
    return folder / "checkpoints" / "checkpoint_best.pt"


@pytest.fixture(scope="module")
def generated(prepared, trained) -> str:
    return call(GENERATE.format(data=prepared[2], path=trained)).stdout


def test_learns_the_toy_task(generated: str):
    exact = float(re.search(r"exact = ([\d.]+)", generated)[1])
    assert exact >= 80, "percent of unseen items"


def test_checkpoint_holds_plain_data(trained: Path):
    assert torch.serialization.get_unsafe_globals_in_checkpoint(str(trained)) == []


@pytest.mark.parametrize("options", ["--batch-size 1", "--max-tokens 200"])
def test_batching_does_not_change_a_hypothesis(prepared, trained, generated: str, options: str):
    output = call(GENERATE.format(data=prepared[2], path=trained) + f" {options}").stdout
    assert hypotheses(output) == hypotheses(generated)
    assert scores(output) == pytest.approx(scores(generated), abs=1e-4)


def test_interactive_takes_file_names(prepared, trained, generated: str):
    data = prepared[2]
    rows = [line.split("\t") for line in (data / "test.tsv").read_text().splitlines()[1:]]
    command = GENERATE.replace("fairseq-generate", "fairseq-interactive").format(data=data, path=trained)
    output = call(command + " --buffer-size 7 --max-tokens 2000", stdin="".join(row[1] + "\n" for row in rows)).stdout
    assert hypotheses(output) == hypotheses(generated)


def test_stock_search_agrees(prepared, trained):
    """fairseq's own search over the same model (asked for by an option that ours leaves to it)."""
    command = GENERATE.format(data=prepared[2], path=trained) + " --beam 3"
    stock, ours = call(command + " --diversity-rate 0"), call(command + " --search-patience 1")
    assert hypotheses(stock.stdout) == hypotheses(ours.stdout)


@pytest.mark.parametrize("option", ["--beam 3", "--score-reference"])
def test_alignments_point_into_the_memory(prepared, trained, option: str):
    """Which fairseq's own code prints for text alone: steps of the encoder, or places of a picture's grid."""
    output = call(GENERATE.format(data=prepared[2], path=trained) + f" {option} --print-alignment").stdout
    lines = re.findall(r"^A-\d+\t(.*)$", output, re.MULTILINE)
    texts = [line.split("\t")[2].split() for line in output.splitlines() if line.startswith("H-")]
    assert len(lines) == len(texts) > 30
    for line, words in zip(lines, texts, strict=True):
        pairs = [tuple(map(int, pair.split("-"))) for pair in line.split()]
        assert [target for _, target in pairs] == list(range(len(words)))
        assert all(source >= 0 for source, _ in pairs)
    assert len({pair.split("-")[0] for line in lines for pair in line.split()}) > 3  # not always the same step
