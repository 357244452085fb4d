"""Bounds of what a client may send, enforced before anything of it is read into memory or decoded."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN, OPEN_BELOW = ("/health", "/"), "/page/"  # without a key
SUBPROTOCOL, KEY_SUBPROTOCOL = "s2s", "key."  # of web sockets; then the key in UTF-8 as hexadecimal digits
COMPLETE, DISCONNECTED = 0, -1
MAX_BEAM = 20
DRAIN = 16  # times the largest body


@dataclass(frozen=True)
class Limits:
    """What a client may ask for."""

    body: int = 10 * 2**20  # bytes
    seconds: float = 30.0  # to send a body
    inputs: int = 64  # of a request
    characters: int = 10_000  # of a text
    all_characters: int = 40_000  # of the texts of a request
    constraints: int = 16  # words that the outputs of an input must contain
    forced: int = 2_000  # characters of them, or of a prefix
    json: int = 2 * 2**20  # bytes of a body without a file: Python needs 60 times as much
    beam: int = MAX_BEAM
    waiting: int = 256  # inputs of all clients
    conversations: int = 256
    pause: float = 600.0  # seconds between two turns of a conversation


class Guard:
    """Refuses what has no key, too large a body, or one that takes too long; as plain ASGI, before all is read."""

    def __init__(self, app: ASGIApp, limits: Limits, key: str | None):
        self.app, self.limits, self.key = app, limits, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        is_open = scope["path"] in OPEN or scope["path"].startswith(OPEN_BELOW)
        if self.key is not None and not is_open and not self._has_key(headers, scope.get("subprotocols", ())):
            await _refuse(scope, receive, send, 401, "this server requires a key: Authorization: Bearer KEY")
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        is_form = headers.get("content-type", "").startswith("multipart/form-data")
        limit = self.limits.body if is_form else min(self.limits.json, self.limits.body)
        status, body = await self._read(receive, limit)
        if status == DISCONNECTED:
            return
        if status != COMPLETE:
            await _refuse(scope, receive, send, status, self._problem(status, limit))
            return
        await self._answer(scope, body, receive, send)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Pass a request on, and give it up if the client leaves before the answer is complete."""
        left, sent = asyncio.ensure_future(receive()), False  # after the body nothing else can come

        async def replayed() -> Message:
            nonlocal sent
            if sent:
                return await asyncio.shield(left)
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        answer = asyncio.ensure_future(self.app(scope, replayed, send))
        try:
            await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
        finally:
            left.cancel()
            if answer.cancel():
                await asyncio.wait({answer})

    async def _read(self, receive: Receive, limit: int) -> tuple[int, bytes]:
        """Return the body, and COMPLETE, DISCONNECTED or the status code of a refusal.

        What is too large is read on for a while and forgotten: a client that still sends would not see the answer.
        """
        body, size, end = bytearray(), 0, asyncio.get_running_loop().time() + self.limits.seconds
        while size <= DRAIN * limit:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - asyncio.get_running_loop().time()))
            except TimeoutError:
                return 408, b""
            if message["type"] == "http.disconnect":
                return DISCONNECTED, b""
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:
                body += part
            if not message.get("more_body", False):
                break
        return (COMPLETE, bytes(body)) if size <= limit else (413, b"")

    def _problem(self, status: int, limit: int) -> str:
        if status == 408:
            return f"a body must arrive within {self.limits.seconds:g} seconds"
        return f"a body must have at most {limit:,} bytes"

    def _has_key(self, headers: dict[str, str], subprotocols: Iterable[str]) -> bool:
        """Return whether a request has the key; of a web page, which cannot set headers, a web socket offers it."""
        key = str(self.key).encode()
        offer = headers.get("authorization", "").removeprefix("Bearer ").encode()
        for each in subprotocols:
            if each.startswith(KEY_SUBPROTOCOL):
                with suppress(ValueError):
                    offer = bytes.fromhex(each.removeprefix(KEY_SUBPROTOCOL))
        return hmac.compare_digest(offer, key)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, problem: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": problem})
        return
    await JSONResponse({"detail": problem}, status, {"connection": "close"})(scope, receive, send)
