"""The explorer: its page, and what the page asks the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, File, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse

from s2s_plugin.explain.neighbors import TrainingPairs
from s2s_plugin.server.explored import Explore, Explored, ExploreText, Neighbor
from s2s_plugin.server.schemas import Text
from s2s_plugin.server.service import Service
from s2s_plugin.server.uploads import stored

PAGE = Path(__file__).parent / "page"
FILES = frozenset(path.name for path in PAGE.iterdir())
NUM_NEIGHBORS = 5
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def add_page(app: FastAPI) -> None:
    """Serve the page at ``/`` and its parts below ``/page/``."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=HEADERS)

    @app.get("/page/{file}", include_in_schema=False)
    async def part(file: str) -> FileResponse:
        if file not in FILES:
            raise HTTPException(404, "the page has no such part")
        return FileResponse(PAGE / file, headers=HEADERS)


def add_exploring(app: FastAPI, service: Service, training: Mapping[str, TrainingPairs]) -> None:
    """Serve the search for one input, and the training pairs of the models that have them."""
    lock = asyncio.Lock()  # the first time, all pairs are read

    @app.post("/v1/models/{name}/explore")
    async def explore(name: str, body: ExploreText) -> Explored:
        """Decode one text, and return the search for it too."""
        service.check_texts(name, [body.input])
        service.check_prefix(body.prefix)
        return Explored.of(await service.explore(name, body.input, body.prefix, body))

    @app.post("/v1/models/{name}/explore/file")
    async def explore_file(
        name: str, search: Annotated[Explore, Query()], file: Annotated[UploadFile, File()]
    ) -> Explored:
        """Decode a recording, a video or a picture, and return the search for it too."""
        service.check_signal(name)
        service.check_prefix(search.prefix)
        async with stored(file) as path:
            return Explored.of(await service.explore(name, path, search.prefix, search))

    @app.post("/v1/models/{name}/neighbors")
    async def neighbors(name: str, body: Text) -> list[Neighbor]:
        """Return the training pairs whose sources are most similar; the first time may take half a minute."""
        service.check_texts(name, [body.input])
        if name not in training:
            raise HTTPException(404, "the training pairs of this model are not here")
        async with lock:
            pairs = await asyncio.to_thread(training[name].nearest, body.input, NUM_NEIGHBORS)
        return [Neighbor(source=pair.source, target=pair.target, similarity=pair.similarity) for pair in pairs or ()]
