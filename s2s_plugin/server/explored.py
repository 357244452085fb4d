"""What the explorer asks and gets, see :mod:`s2s_plugin.server.schemas`."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import BaseModel, Field

from s2s_plugin.package import exploration
from s2s_plugin.package.observers import Alternative, Node
from s2s_plugin.server.schemas import STRICT, Answer, Search, Unicode


class Explore(Search):
    """How to explore one input."""

    prefix: Annotated[list[Unicode], Field(description="tokens that every output must begin with")] = []


class ExploreText(Explore):
    """One text to explore."""

    model_config = STRICT

    input: Unicode


class Option(BaseModel):
    """A token that could stand at a place of an output."""

    token: str
    probability: float


class ExploredAnswer(Answer):
    """One output, with what else could stand at each place of it."""

    alternatives: Annotated[list[list[Option]], Field(description="for each token, the likeliest ones there")]


class LatticeNode(Option):
    """A hypothesis after a step of the search; its probability is that of its last token."""

    parent: Annotated[int | None, Field(description="index in the step before")]
    score: Annotated[float, Field(description="of the hypothesis so far, as of an output")]
    best: Annotated[bool, Field(description="whether the best output passes here")]
    ended: bool


class Neighbor(BaseModel):
    """A training pair."""

    source: str
    target: str
    similarity: Annotated[float, Field(description="of the sources, from 0 to 1")]


class Signal(BaseModel):
    """A recording, a video or a picture as the model sees it."""

    kind: str
    pixels: Annotated[str, Field(description="frames x height x width x channels bytes, in base64")]
    frames: int
    height: int
    width: int
    channels: int
    seconds: Annotated[float | None, Field(description="duration of audio and video")]
    step_seconds: Annotated[float | None, Field(description="of each step that attention has weights for")]
    grid: Annotated[list[int] | None, Field(description="rows and columns of a picture's steps")]


class Explored(BaseModel):
    """The outputs of an input, best first, and the search for them."""

    outputs: list[ExploredAnswer]
    lattice: Annotated[list[list[LatticeNode]], Field(description="for each step, its hypotheses, best first")]
    signal: Signal | None

    @classmethod
    def of(cls, result: exploration.Exploration) -> Explored:
        """Return an exploration as JSON has it."""
        each = zip(result.outputs, result.alternatives, strict=True)
        outputs = [
            ExploredAnswer(**dict(Answer.of(output)), alternatives=[list(map(_option, place)) for place in places])
            for output, places in each
        ]
        lattice = [list(map(_node, step)) for step in result.lattice]
        return cls(outputs=outputs, lattice=lattice, signal=None if result.signal is None else _signal(result.signal))


def _option(value: Alternative) -> Option:
    return Option(token=value.token, probability=round(value.probability, 6))


def _node(node: Node) -> LatticeNode:
    return LatticeNode(
        token=node.token,
        probability=round(node.probability, 6),
        parent=node.parent,
        score=round(node.score, 4),
        best=node.best,
        ended=node.ended,
    )


def _signal(signal: exploration.Signal) -> Signal:
    frames, height, width, channels = signal.pixels.shape
    return Signal(
        kind=signal.kind,
        pixels=base64.b64encode(signal.pixels.tobytes()).decode("ascii"),
        frames=frames,
        height=height,
        width=width,
        channels=channels,
        seconds=signal.seconds,
        step_seconds=signal.step_seconds,
        grid=None if signal.grid is None else list(signal.grid),
    )
