"""What requests and answers look like; FastAPI makes the OpenAPI description of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from s2s_plugin.package.model import Output
from s2s_plugin.server.limits import MAX_BEAM

STRICT = ConfigDict(extra="forbid", strict=True)  # of JSON; what comes in a query is text


def _check_unicode(text: str) -> str:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("a text must not have half of a surrogate pair")
    return text


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_as_integer)  # 5.0 is an integer in JSON, true is none; it hides limits that come after it
Unicode = Annotated[str, AfterValidator(_check_unicode)]  # JSON can say what no text is


class Search(BaseModel):
    """Options of the search; those that are left out are the model's."""

    model_config = ConfigDict(extra="forbid")

    beam: Annotated[int, Field(ge=1, le=MAX_BEAM, description="hypotheses at a time"), WHOLE] | None = None
    lenpen: Annotated[float, Field(ge=-5, le=5, description="above 1 favors long outputs")] | None = None
    nbest: Annotated[int, Field(ge=1, le=MAX_BEAM, description="outputs of each input"), WHOLE] = 1
    attention: Annotated[bool, Field(description="with the attention weights")] = False
    sampling: Annotated[bool, Field(description="draw outputs at random")] = False
    temperature: Annotated[float, Field(ge=0.01, le=100)] | None = None
    sampling_topk: Annotated[int, Field(ge=1, lt=2**31), WHOLE] | None = None
    sampling_topp: Annotated[float, Field(ge=0.001, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31), WHOLE] | None = None

    def options(self, beam: int) -> dict[str, Any]:
        """Return what is set, as options of :meth:`Model.outputs`; ``beam`` is the model's."""
        chosen = self.model_dump(include=set(Search.model_fields), exclude_none=True)
        chosen["beam"] = max(chosen.get("beam", beam), chosen["nbest"])
        if not chosen["sampling"]:
            chosen = {name: value for name, value in chosen.items() if not name.startswith("sampling")}
        return chosen


class Texts(Search):
    """Texts to decode."""

    model_config = STRICT

    inputs: Annotated[list[Unicode], Field(min_length=1, description="one text each")]
    constraints: (
        Annotated[list[list[Unicode]], Field(description="for each text, words its outputs must have")] | None
    ) = None
    prefix: (
        Annotated[
            list[Unicode | list[Unicode]],
            Field(description="for each text, how its outputs must begin: a text, or tokens"),
        ]
        | None
    ) = None


class Text(Search):
    """One text to decode."""

    model_config = STRICT

    input: Unicode


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
