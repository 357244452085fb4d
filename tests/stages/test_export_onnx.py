"""``s2s export RUN --onnx``: graphs that compute what the model does, and an example that decodes as ``s2s`` does."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from combinations import SIGNAL, SIZES, TEXT, name_of, representative
from command_line import call
from fairseq.data import Dictionary

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.models.build import SIGNAL_ENCODERS, build_decoder
from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.stages.export.onnx.folder import export_onnx
from s2s_plugin.stages.export.onnx.graphs import NEXT, STATE, write_graphs
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig
from s2s_plugin.utils.untrusted import load_yaml, write_yaml

pytest.importorskip("onnx", reason="the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx")

SHAPES = {"audio": (20,), "video": (16, 24), "image": (32, 3)}  # of a step
LENGTHS = ([7, 4], [1], [5], [9, 9, 2, 1])  # of the sources of a batch; graphs are traced with the first
QUICK = (
    {"decoder_type": "luong", "coverage": "gated", "attention": "general", "pointer": True},
    {"decoder_type": "gnmt", "attention": "multi_head", "decoder_layers": 2},
    {"decoder_type": "bahdanau", "attention": "location", "bridge": "copy"},
)
LINES = ["a b c", "d e f g", "h g", "c c d", "a", "h h h a b c d"]


def build(folder: Path, options: dict) -> Seq2SeqModel:
    torch.manual_seed(0)
    joint = options.get("share_all_embeddings", False)
    source, target = Dictionary(), Dictionary()
    for number in range(source.nspecial, 13):
        source.add_symbol(f"w{number}")
        target.add_symbol(f"w{number}" if joint or number % 2 else f"v{number}")
    positions = {"max_source_positions": 100, "max_target_positions": 100}
    task = Seq2SeqTask(Seq2SeqTaskConfig(data=str(folder)), source, target)
    return Seq2SeqModel.build_model(Seq2SeqConfig(**(SIZES | positions | options)), task).eval()


def build_signal(modality: str, options: dict) -> Seq2SeqModel:
    torch.manual_seed(0)
    target = Dictionary()
    for number in range(target.nspecial, 13):
        target.add_symbol(f"w{number}")
    positions = {"max_source_positions": 100, "max_target_positions": 100}
    cfg = Seq2SeqConfig(**(SIZES | positions | {name: value for name, value in options.items() if name != "ctc"}))
    encoder = SIGNAL_ENCODERS[modality](cfg, SHAPES[modality])
    return Seq2SeqModel(encoder, build_decoder(cfg, encoder, target)).eval()


def signals(modality: str, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    if modality == "image":
        lengths = [max(lengths)] * len(lengths)
    features = torch.rand(len(lengths), max(lengths), *SHAPES[modality])
    for row, length in enumerate(lengths):
        features[row, length:] = 0
    return features, torch.tensor(lengths)


def batch(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(4, 13, (len(lengths), max(lengths)))
    for row, length in enumerate(lengths):
        tokens[row, length:] = 1
    return tokens, torch.tensor(lengths)


def run(folder: Path, graph: str, values: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(folder / f"{graph}.onnx")
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, {each.name: values[each.name] for each in session.get_inputs()})
    return dict(zip(names, results, strict=True))


@torch.no_grad()
def difference(folder: Path, model: Seq2SeqModel, tokens: torch.Tensor, lengths: torch.Tensor, beam: int) -> float:
    """The greatest difference of log-probabilities over three steps of ``beam`` random hypotheses."""
    memory, worst = model.encode(tokens, lengths), 0.0
    state = model.decoder.rnn.initial_state(memory).reorder(torch.arange(len(tokens)).repeat_interleave(beam))
    values = run(folder, "encoder", {"source": tokens.numpy(), "lengths": lengths.numpy()})
    values |= {name: values[name].repeat(beam, 1) for name in STATE if name in values}
    for _ in range(3):
        previous = torch.randint(4, 13, (len(tokens), beam))
        state, features, weights = model.decoder.rnn.step(model.decoder.embedding(previous.flatten()), state, memory)
        expected = model.decoder.generator(features, weights, memory).log_softmax(-1).view(*previous.shape, -1)
        values |= run(folder, "step", {**values, "previous": previous.numpy()})
        got = torch.from_numpy(run(folder, "generator", values)["log_probs"])
        worst = max(worst, float((got - expected).abs().max()))
        values |= {name.removeprefix(NEXT): value for name, value in values.items() if name.startswith(NEXT)}
    return worst


def check(folder: Path, options: dict) -> None:
    model = build(folder, options)
    write_graphs(model, *batch(LENGTHS[0]), folder)
    differences = [difference(folder, model, *batch(lengths), beam) for lengths in LENGTHS for beam in (1, 3)]
    assert max(differences) < 1e-5


@pytest.mark.parametrize("options", QUICK, ids=name_of)
def test_graphs_compute_what_the_model_does(tmp_path: Path, options: dict):
    check(tmp_path, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", representative(TEXT), ids=name_of)
def test_graphs_of_other_models(tmp_path: Path, options: dict):
    check(tmp_path, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", SIGNAL, ids=name_of)
@pytest.mark.parametrize("modality", SHAPES)
def test_graphs_of_signals(tmp_path: Path, modality: str, options: dict):
    model = build_signal(modality, options)
    write_graphs(model, *signals(modality, [40, 24]), tmp_path)
    differences = [difference(tmp_path, model, *signals(modality, lengths), 2) for lengths in ([16], [48, 33, 16])]
    assert max(differences) < 1e-5


@pytest.fixture(scope="module")
def exported(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    for precision in ("fp32", "int8"):
        export_onnx(RunDir(small_model / "runs/nmt/default"), folder / precision, precision)
    return folder


def load_example(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("translate", folder / "translate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model(folder)


@pytest.mark.parametrize("options", [{}, {"beam": 1}, {"beam": 3}, {"beam": 4, "search_patience": 0.5}], ids=str)
def test_the_example_decodes_as_s2s_does(small_model: Path, exported: Path, options: dict):
    expected = s2s_plugin.load(small_model / "runs/nmt/default").translate(LINES, **options)
    example = load_example(exported / "fp32")
    example.config |= options
    assert [example.translate(line) for line in LINES] == expected
    assert example.translate("") == ""


@pytest.mark.slow
def test_what_the_example_lacks_of_the_search_is_said(small_model: Path, tmp_path: Path, capsys):
    run = RunDir(tmp_path / "run")
    shutil.copytree(small_model / "runs/nmt/default", run.folder)
    config = load_yaml(run.config)
    config["task"]["repetition_penalty"] = 1.2
    write_yaml(run.config, yaml.safe_dump(config))
    export_onnx(run, tmp_path / "graphs", "fp32")
    assert "translate.py has no repetition_penalty" in capsys.readouterr().err


def test_int8_is_smaller_and_near(exported: Path):
    sizes = [
        sum(path.stat().st_size for path in (exported / precision).glob("*.onnx")) for precision in ("fp32", "int8")
    ]
    assert sizes[1] < 0.8 * sizes[0]
    exact, small = (load_example(exported / precision) for precision in ("fp32", "int8"))
    assert sum(exact.translate(line) == small.translate(line) for line in LINES) >= len(LINES) - 1


@pytest.mark.slow
def test_command_and_example_need_nothing_else(small_model: Path, tmp_path: Path):
    call(f"s2s export runs/nmt/default --to {tmp_path}/mine.s2s", cwd=small_model)
    expected = call("s2s translate model=mine.s2s", cwd=tmp_path, stdin="a b c\nd e\n").stdout
    done = call("s2s export mine.s2s --onnx graphs", cwd=tmp_path)
    assert done.stderr == "" and done.stdout == "graphs: python graphs/translate.py decodes with it\n"
    (tmp_path / "graphs").rename(tmp_path / "elsewhere")
    assert call("python elsewhere/translate.py", cwd=tmp_path, stdin="a b c\nd e\n").stdout == expected


def test_mistakes(small_model: Path, tmp_path: Path):
    run_dir = RunDir(small_model / "runs/nmt/default")
    with pytest.raises(UserError, match="--onnx takes --precision fp32 or int8, got bf16"):
        export_onnx(run_dir, tmp_path / "new", "bf16")
    with pytest.raises(UserError, match="exists: name another folder, or delete it"):
        export_onnx(run_dir, tmp_path, "fp32")
    assert list(tmp_path.iterdir()) == []
