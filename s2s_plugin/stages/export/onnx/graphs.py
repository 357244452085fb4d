"""The graphs of a model in ONNX: the encoder, a decoder step and the generator, with any batch, beam and length."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from s2s_plugin.errors import UserError
from s2s_plugin.models.decoders import DecoderState
from s2s_plugin.models.memory import Memory
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.utils.untrusted import show

OPSET = 17  # of 2022
AXES = {  # of inputs and outputs; the others are constant
    "source": ("batch", "length"),
    "lengths": ("batch",),
    "previous": ("batch", "beam"),
    "values": ("batch", "steps"),
    "padding_mask": ("batch", "steps"),
    "keys": ("batch", "steps"),
    "copy_ids": ("batch", "steps"),
    "meanings": ("batch", "steps"),
    "layers": ("batch", "beam"),
    "feed": ("batch", "beam"),
    "attn_state": ("batch", "beam", "steps"),
    "features": ("batch", "beam"),
    "attention": ("batch", "beam", "steps"),
    "log_probs": ("batch", "beam"),
}
STATE = DecoderState._fields
MEMORY = ("values", "padding_mask", "keys", "meanings")  # that a step reads
NEXT = "next_"  # prefix of a state's name among the outputs of a step, whose names must differ from the inputs'


class EncoderGraph(nn.Module):
    """Map sources and their lengths to the memory and the state before the first token, of a beam of one."""

    def __init__(self, model: Seq2SeqModel):
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        memory = self.model.encode(source, lengths)
        if memory.keys is memory.values:
            memory = memory._replace(keys=None)
        state = self.model.decoder.rnn.initial_state(memory)
        fields = memory._replace(final=None)._asdict()  # type: ignore[arg-type]
        beams = {name: field.unsqueeze(1) for name, field in state._asdict().items() if field is not None}
        return {name: field for name, field in fields.items() if field is not None} | beams


class StepGraph(nn.Module):
    """Decode a token of each hypothesis: previous tokens B x K, state and memory to state, features and attention."""

    def __init__(self, model: Seq2SeqModel, names: Sequence[str]):
        super().__init__()
        self.embedding, self.rnn, self.names = model.decoder.embedding, model.decoder.rnn, names

    def forward(self, previous: Tensor, *tensors: Tensor) -> dict[str, Tensor]:
        fields = dict(zip(self.names, tensors, strict=True))
        values = fields["values"]
        memory = Memory(
            values, fields["padding_mask"], values, fields.get("keys", values), None, fields.get("meanings")
        )
        flat = {name: fields[name].flatten(0, 1) for name in STATE if name in fields}
        state, features, attention = self.rnn.step(self.embedding(previous.flatten()), DecoderState(**flat), memory)
        rows = {NEXT + name: field for name, field in state._asdict().items() if field is not None}
        rows |= {"features": features, "attention": attention}
        return {name: row.reshape(*previous.shape, *row.shape[1:]) for name, row in rows.items()}


class GeneratorGraph(nn.Module):
    """Map features B x K x H, for a pointer also attention and the ids to copy, to log-probabilities B x K x V."""

    def __init__(self, model: Seq2SeqModel):
        super().__init__()
        self.generator = model.decoder.generator

    def forward(self, features: Tensor, attention: Tensor, copy_ids: Tensor | None = None) -> dict[str, Tensor]:
        memory = Memory(features, features, features, copy_ids=copy_ids)
        return {"log_probs": self.generator(features, attention, memory).log_softmax(-1)}


def write_graphs(model: Seq2SeqModel, source: Tensor, lengths: Tensor, folder: Path) -> None:
    """Write ``encoder.onnx``, ``step.onnx`` and ``generator.onnx``.

    Args:
        model: in evaluation mode, on the CPU.
        source: two items of different lengths to trace with, B x S ids or B x S x ... features.
        lengths: B.
        folder: an existing one.

    Raises:
        UserError: the model has an operator that ONNX lacks.
    """
    with torch.no_grad():
        encoder = EncoderGraph(model).eval()
        encoded = encoder(source, lengths)
        _write(encoder, {"source": source, "lengths": lengths}, encoded, folder / "encoder.onnx")
        beams = {name: field.expand(-1, 2, *field.shape[2:]) for name, field in encoded.items() if name in STATE}
        memory = {name: field for name, field in encoded.items() if name in MEMORY}
        step = StepGraph(model, [*beams, *memory]).eval()
        previous = torch.full((len(source), 2), model.decoder.dictionary.eos())
        decoded = step(previous, *beams.values(), *memory.values())
        _write(step, {"previous": previous, **beams, **memory}, decoded, folder / "step.onnx")
        inputs = {name: decoded[name] for name in ("features", "attention")}
        inputs |= {"copy_ids": encoded["copy_ids"]} if "copy_ids" in encoded else {}
        generator = GeneratorGraph(model).eval()
        _write(generator, inputs, generator(*inputs.values()), folder / "generator.onnx")


def _write(graph: nn.Module, inputs: dict[str, Tensor], outputs: dict[str, Tensor], path: Path) -> None:
    """Write a graph that maps ``inputs`` to ``outputs``, both by name."""
    axes = {name: dict(enumerate(AXES[name.removeprefix(NEXT)])) for name in (*inputs, *outputs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # The exporter by torch.export (dynamo) makes lengths constant here, and takes 50 times as long.
            torch.onnx.export(
                graph, tuple(inputs.values()), str(path), dynamo=False, input_names=list(inputs),
                output_names=list(outputs), dynamic_axes=axes, opset_version=OPSET,
            )  # fmt: skip
        except (RuntimeError, torch.onnx.OnnxExporterError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{path.name}: ONNX cannot express this model ({show(reason, 120)[1:-1]})") from None
