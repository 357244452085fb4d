"""A step of the models as a CUDA graph: a GPU then waits for one launch a step, not for a hundred.

To be worth its capture a shape must come again: memories are padded to a multiple of ``LENGTHS``, and sentences that
are done stay until they are ``IDLE`` of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.models.decoders import DecoderState
from s2s_plugin.models.memory import Memory
from s2s_plugin.models.seq2seq import Seq2SeqModel

LENGTHS = 16  # steps of a memory
IDLE = 0.25
KEPT = 16  # graphs, each with a memory and a state of its own

Fields = TypeVar("Fields", DecoderState, Memory)
Inputs = tuple[list[DecoderState], list[Memory], Tensor]
Outputs = tuple[list[DecoderState], Tensor, Tensor | None]


class Graph:
    """A step at fixed places in memory, for inputs of one shape; on a CPU, which captures nothing, it runs every time.

    Args:
        step: of states, memories and last symbols; looks at no number.
        inputs: like those to come.
    """

    def __init__(self, step: Callable[..., Outputs], inputs: Inputs):
        self.step = step
        states, memories, last = inputs
        self.inputs: Inputs = [_copy(state) for state in states], [_copy(memory) for memory in memories], last.clone()
        self.memories = memories  # whose copy is in the inputs
        self.graph: torch.cuda.CUDAGraph | None = None
        if last.is_cuda:
            torch.cuda.synchronize()
            with torch.cuda.stream(torch.cuda.Stream()):
                step(*self.inputs)  # libraries choose their kernels at the first call
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.outputs = step(*self.inputs)
        else:
            self.outputs = step(*self.inputs)

    def __call__(self, states: list[DecoderState], memories: list[Memory], last: Tensor) -> Outputs:
        """Outputs, which hold until the next call; but attention, of which a search keeps a record, for good."""
        _fill(self.inputs[0], states)
        if memories is not self.memories:
            _fill(self.inputs[1], memories)
            self.memories = memories
        self.inputs[2].copy_(last)
        if self.graph is not None:
            self.graph.replay()
        else:
            states, scores, weights = self.step(*self.inputs)
            _fill(self.outputs[0], states)
            _fill([self.outputs[1:]], [(scores, weights)])
        states, scores, weights = self.outputs
        return states, scores, None if weights is None else weights.clone()


class Graphs:
    """Those of the shapes that came last.

    Args:
        step: of models, states, memories and last symbols.
    """

    def __init__(self, step: Callable[..., Outputs]):
        self.step = step
        self.kept: dict[tuple, Graph] = {}

    def __call__(
        self, models: list[Seq2SeqModel], states: list[DecoderState], memories: list[Memory], last: Tensor
    ) -> Outputs:
        tensors = [*_tensors(states), *_tensors(memories), last]
        shape = (*map(id, models), *((tensor.shape, tensor.dtype) for tensor in tensors))
        graph = self.kept.pop(shape, None) or Graph(partial(self.step, models), (states, memories, last))
        self.kept[shape] = graph  # the last one now
        if len(self.kept) > KEPT:
            del self.kept[next(iter(self.kept))]
        return graph(states, memories, last)


def padded(memory: Memory) -> Memory:
    """To a multiple of ``LENGTHS`` steps."""
    missing = -memory.padding_mask.size(1) % LENGTHS
    return memory._replace(
        values=F.pad(memory.values, (0, 0, 0, missing)),
        padding_mask=F.pad(memory.padding_mask, (0, missing), value=True),
        keys=None if memory.keys is None else F.pad(memory.keys, (0, 0, 0, missing)),
        copy_ids=None if memory.copy_ids is None else F.pad(memory.copy_ids, (0, missing)),
    )


def _copy(fields: Fields) -> Fields:
    return type(fields)._make(None if field is None else field.clone() for field in fields)


def _fill(places: Sequence[Sequence[Tensor | None]], values: Sequence[Sequence[Tensor | None]]) -> None:
    for place, value in zip(_tensors(places), _tensors(values), strict=True):
        place.copy_(value)


def _tensors(parts: Sequence[Sequence[Tensor | None]]) -> Iterator[Tensor]:
    return (field for part in parts for field in part if field is not None)
