"""The HTTP interface: REST with an OpenAPI description, server-sent events, a web socket for conversations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, File, HTTPException, Query, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import generate_latest
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.explain.neighbors import TrainingPairs
from s2s_plugin.inference.chat import Chatbot
from s2s_plugin.package.model import Model, Output
from s2s_plugin.server.explorer import add_exploring, add_page
from s2s_plugin.server.limits import MAX_BEAM, SUBPROTOCOL, Guard, Limits
from s2s_plugin.server.schemas import About, Answer, Answers, Problem, Search, Text, Texts
from s2s_plugin.server.service import Full, Service
from s2s_plugin.server.uploads import stored

MAX_REASON = 123  # bytes, of the end of a web socket
REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text}
    for code, text in {
        400: "the request is malformed",
        401: "no key, or a wrong one",
        404: "no such model",
        408: "the body took too long",
        413: "too large",
        422: "an input or an option cannot be used",
        429: "too many inputs wait; try again",
        503: "the server is about to end",
    }.items()
}


def create_app(
    models: Mapping[str, Model],
    limits: Limits | None = None,
    key: str | None = None,
    hosts: Sequence[str] = ("localhost", "127.0.0.1", "[::1]"),
    origins: Sequence[str] = (),
) -> FastAPI:
    """Return the application.

    Args:
        models: to serve, by name.
        limits: of what a client may send.
        key: that every request but those for /health and the page must have; None for none.
        hosts: names that clients may call this server by.
        origins: of other web pages that may use it.
    """
    service = Service(models, limits or Limits())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for batcher in service.batchers.values():
            await asyncio.to_thread(batcher.close)

    app = FastAPI(
        title="s2s",
        version=s2s_plugin.__version__,
        lifespan=lifespan,
        responses=REFUSALS,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Guard, limits=service.limits, key=key)  # inside: a browser asks for leave without the key
    app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
    texts = {name: model for name, model in models.items() if model.modality == "text"}
    pairs = {name: TrainingPairs(model.run, model.task) for name, model in texts.items()}
    training = {name: each for name, each in pairs.items() if each.available}
    _add_general_routes(app, service, training)
    _add_decoding_routes(app, service)
    _add_chat(app, service, origins)
    add_exploring(app, service, training)
    add_page(app)
    return app


async def _user_error(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": _printable(str(error))}, 422)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Say in one sentence what the first mistake of a request is, without the values that the client has sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid" or first["loc"] == ("body",):
        return JSONResponse({"detail": "the body must be a JSON object, of content-type application/json"}, 422)
    where = ".".join(map(str, first["loc"][1:]))
    return JSONResponse({"detail": f"{_printable(where):.200}: {first['msg']}"}, 422)


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"detail": "an error of the server, which its log describes"}, 500)


def _printable(text: str) -> str:
    """Return a text with escapes for what UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _add_general_routes(app: FastAPI, service: Service, training: Collection[str]) -> None:
    @app.get("/health", responses={})
    async def health() -> dict[str, str]:
        """Say that the server answers."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Return counts and times, for Prometheus."""
        return PlainTextResponse(generate_latest(service.registry))

    @app.get("/v1/models")
    async def list_models() -> list[About]:
        """List the models."""
        return [
            About(
                name=name,
                app=model.app,
                modality=model.modality,
                source=model.source_lang,
                target=model.target_lang,
                parameters=model.parameters,
                beam=model.defaults["beam"],
                lenpen=model.defaults["lenpen"],
                max_beam=MAX_BEAM,
                neighbors=name in training,
                chat=model.can_chat,
            )
            for name, model in service.models.items()
        ]


def _add_decoding_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/models/{name}/translate")
    async def translate(name: str, body: Texts) -> Answers:
        """Decode texts."""
        service.check_texts(name, body.inputs)
        service.check_forced(body.constraints, body.prefix)
        for option in ("constraints", "prefix"):
            if (values := getattr(body, option)) is not None and len(values) != len(body.inputs):
                raise HTTPException(422, f"expected {option} of {len(body.inputs)} inputs, got {len(values)}")
        return _answers(await service.decode(name, body.inputs, body, body.constraints, body.prefix))

    @app.post("/v1/models/{name}/file")
    async def read_file(name: str, search: Annotated[Search, Query()], file: Annotated[UploadFile, File()]) -> Answers:
        """Decode a recording, a video or a picture."""
        service.check_signal(name)
        async with stored(file) as path:
            return _answers(await service.decode(name, [path], search))

    @app.post("/v1/models/{name}/stream", response_class=StreamingResponse)
    async def stream(name: str, body: Text) -> StreamingResponse:
        """Decode a text; events ``partial`` have what there is so far, the last one, ``output``, has all."""
        service.check_texts(name, [body.input])
        events = service.follow(name, body.input, body)
        first = await anext(events)  # if the input or an option cannot be used, that is the answer
        return StreamingResponse(_events(first, events), media_type="text/event-stream")


def _answers(outputs: Sequence[Sequence[Output]]) -> Answers:
    return Answers(outputs=[[Answer.of(output) for output in each] for each in outputs])


async def _events(first: str | list[Output], others: AsyncGenerator[str | list[Output], None]) -> AsyncIterator[str]:
    """Yield server-sent events of a search as it goes on."""
    async with aclosing(others):
        yield _event(first)
        async for each in others:
            yield _event(each)


def _event(value: str | list[Output]) -> str:
    kind, content = "partial", dict[str, Any](text=value)
    if not isinstance(value, str):
        kind, content = "output", {"outputs": [Answer.of(output).model_dump() for output in value]}
    return f"event: {kind}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"


def _add_chat(app: FastAPI, service: Service, origins: Sequence[str]) -> None:
    @app.websocket("/v1/models/{name}/chat")
    async def chat(socket: WebSocket, name: str) -> None:
        """Hold a conversation: each message of text is a turn, each answer has text, confidence and sure."""
        origin = socket.headers.get("origin")
        if origin is not None and origin not in origins and urlsplit(origin).netloc != socket.headers.get("host"):
            await socket.close(1008, "another web page may not use this server")
            return
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None)
        if name not in service.models:  # only what is accepted can be closed with a reason that a page sees
            await socket.close(1008, "there is no such model")
            return
        try:
            with service.converse():
                bot = await asyncio.to_thread(service.models[name].chat)
                await _converse(socket, bot, service.limits)
        except Full:
            await socket.close(1013, "too many conversations; try again")
        except UserError as error:
            await socket.close(1008, str(error).encode()[:MAX_REASON].decode(errors="ignore"))
        except WebSocketDisconnect:
            return


async def _converse(socket: WebSocket, bot: Chatbot, limits: Limits) -> None:
    """Answer turns until the client leaves, pauses for too long, or sends what is no turn."""
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), limits.pause)
        except TimeoutError:
            await socket.close(1000, f"no turn for {limits.pause:g} seconds")
            return
        if message["type"] == "websocket.disconnect":
            return
        if (turn := message.get("text")) is None:
            await socket.close(1003, "a turn must be text")
            return
        if len(turn) > limits.characters:
            await socket.close(1009, "the turn is too long")
            return
        reply = await asyncio.to_thread(bot.reply, turn)
        await socket.send_json(reply._asdict())
