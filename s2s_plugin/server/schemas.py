"""What requests and answers look like; FastAPI makes the OpenAPI description of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from s2s_plugin.package.model import Output


class Search(BaseModel):
    """Options of the search; those that are left out are the model's."""

    model_config = ConfigDict(extra="forbid")

    beam: Annotated[int, Field(ge=1, description="hypotheses at a time")] | None = None
    lenpen: Annotated[float, Field(ge=-5, le=5, description="above 1 favors long outputs")] | None = None
    nbest: Annotated[int, Field(ge=1, description="outputs of each input")] = 1
    attention: Annotated[bool, Field(description="with the attention weights")] = False
    sampling: Annotated[bool, Field(description="draw outputs at random")] = False
    temperature: Annotated[float, Field(ge=0.01, le=100)] | None = None
    sampling_topk: Annotated[int, Field(ge=1)] | None = None
    sampling_topp: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    def options(self) -> dict[str, Any]:
        """Return what is set, as options of :meth:`Model.outputs`."""
        chosen = self.model_dump(include=set(Search.model_fields), exclude_none=True)
        beam = max(chosen.get("beam", 1), chosen["nbest"])
        if chosen["nbest"] > 1 or "beam" in chosen:
            chosen["beam"] = beam
        if not chosen["sampling"]:
            chosen = {name: value for name, value in chosen.items() if not name.startswith("sampling")}
        return chosen


class Texts(Search):
    """Texts to decode."""

    inputs: Annotated[list[str], Field(min_length=1, description="one text each")]
    constraints: Annotated[list[list[str]], Field(description="for each text, words its outputs must have")] | None = (
        None
    )
    prefix: (
        Annotated[
            list[str | list[str]], Field(description="for each text, how its outputs must begin: a text, or tokens")
        ]
        | None
    ) = None


class Text(Search):
    """One text to decode."""

    input: str


class Answer(BaseModel):
    """One output."""

    text: str
    score: Annotated[float, Field(description="length-normalized log-probability, natural logarithm")]
    confidence: Annotated[float, Field(description="geometric mean of the token probabilities")]
    tokens: list[str]
    probabilities: list[float]
    source_tokens: list[str]
    attention: Annotated[list[list[float]], Field(description="tokens x source tokens")] | None = None

    @classmethod
    def of(cls, output: Output) -> Answer:
        """Return an output as JSON has it."""
        return cls(
            text=output.text,
            score=output.score,
            confidence=output.confidence,
            tokens=output.tokens,
            probabilities=[round(float(each), 6) for each in output.probabilities],
            source_tokens=output.source_tokens,
            attention=None if output.attention is None else output.attention.astype(float).round(5).tolist(),
        )


class Answers(BaseModel):
    """The outputs of each input, best first."""

    outputs: list[list[Answer]]


class About(BaseModel):
    """A model that is served."""

    name: str
    app: str
    modality: Annotated[str, Field(description="of the inputs: text, audio, video or image")]
    source: str
    target: str
    parameters: int
    beam: Annotated[int, Field(description="hypotheses at a time, unless a request says otherwise")]
    lenpen: float
    max_beam: int
    neighbors: Annotated[bool, Field(description="whether it has its training pairs")]
    chat: Annotated[bool, Field(description="whether it can hold a conversation")]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
