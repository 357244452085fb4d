"""Bounds of what a client may send, enforced before anything of it is read into memory or decoded."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN, OPEN_BELOW = ("/health", "/"), "/page/"  # without a key
BEARER = b"bearer"
SUBPROTOCOL, KEY_SUBPROTOCOL = "s2s", "key."  # of web sockets; then the key in UTF-8 as hexadecimal digits
MAX_BEAM = 20
DRAIN = 16  # times the largest body: what is read of one that is too large
MAX_BODIES = 32  # times the largest body: of all requests at once


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
    waiting: int = 256  # inputs of all clients
    conversations: int = 256
    pause: float = 600.0  # seconds between two turns of a conversation


class Guard:
    """Refuses what has no key, too large a body, or one that takes too long; as plain ASGI, before all is read."""

    def __init__(self, app: ASGIApp, limits: Limits, key: str | None):
        self.app, self.limits, self.key = app, limits, None if key is None else key.encode()
        self.held = 0  # bytes of the bodies that are here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        is_open = scope["path"] in OPEN or scope["path"].startswith(OPEN_BELOW)
        if self.key is not None and not is_open and not hmac.compare_digest(_offered_key(scope), self.key):
            await _refuse(
                scope, receive, send, HTTPException(401, "this server requires a key: Authorization: Bearer KEY")
            )
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            await self._read(body, receive, self._limit(scope))
            await self._answer(scope, bytes(body), receive, send)
        except ClientDisconnect:
            return
        except HTTPException as refusal:
            await _refuse(scope, receive, send, refusal)
        finally:
            self.held -= len(body)

    def _limit(self, scope: Scope) -> int:
        """Return how many bytes the body of a request may have."""
        is_form = dict(scope["headers"]).get(b"content-type", b"").startswith(b"multipart/form-data")
        return self.limits.body if is_form else min(self.limits.json, self.limits.body)

    async def _read(self, body: bytearray, receive: Receive, limit: int) -> None:
        """Read a body.

        What is too large is read on for a while and forgotten: a client that still sends would not see the answer.

        Raises:
            HTTPException: it must not be passed on.
            ClientDisconnect: the client has left.
        """
        size, clock = 0, asyncio.get_running_loop().time
        end, more = clock() + self.limits.seconds, True
        while more and size <= DRAIN * limit:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - clock()))
            except TimeoutError:
                raise HTTPException(408, f"a body must arrive within {self.limits.seconds:g} seconds") from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= limit:
                body += part
                self.held += len(part)
            if self.held > MAX_BODIES * self.limits.body:
                raise HTTPException(429, "too many bodies are here; try again", {"Retry-After": "1"})
        if size > limit:
            raise HTTPException(413, f"a body must have at most {limit:,} bytes")

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


def _offered_key(scope: Scope) -> bytes:
    """Return the key of a request, in UTF-8; of a web page, which cannot set headers, a web socket offers it."""
    for each in scope.get("subprotocols", ()):
        if each.startswith(KEY_SUBPROTOCOL):
            with suppress(ValueError):
                return bytes.fromhex(each.removeprefix(KEY_SUBPROTOCOL))
    scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    return key.strip() if scheme.lower() == BEARER else b""


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: HTTPException) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail})
        return
    headers = {"connection": "close", **(refusal.headers or {})}
    await JSONResponse({"detail": refusal.detail}, refusal.status_code, headers)(scope, receive, send)
