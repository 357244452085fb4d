"""Files that clients send."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import UploadFile

from s2s_plugin.errors import UserError


@asynccontextmanager
async def stored(file: UploadFile) -> AsyncIterator[Path]:
    """Write a file to a temporary folder, with its own ending; an error names it as the client does."""
    suffix = Path(file.filename or "").suffix[:8]
    with tempfile.TemporaryDirectory(prefix="s2s-") as folder:
        path = Path(folder) / f"upload{suffix if suffix[1:].isalnum() else ''}"
        path.write_bytes(await file.read())
        try:
            yield path
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the file")) from None
