"""Serve trained models over HTTP."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from s2s_plugin.datasets.frontends import check_installed
from s2s_plugin.errors import UserError
from s2s_plugin.package.model import Model, load
from s2s_plugin.utils.console import say
from s2s_plugin.utils.kernels import keep_few_kernels

if TYPE_CHECKING:
    from fastapi import FastAPI

PACKAGES = {"fastapi": "fastapi", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"}
PACKAGES |= {"python_multipart": "python-multipart", "websockets": "websockets"}
MAX_CONNECTIONS, BACKLOG = 1000, 1024  # the latter wait to be accepted
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def run(words: Sequence[str]) -> int:
    """Run ``s2s serve``."""
    parser = argparse.ArgumentParser("s2s serve", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.s2s", help="packaged models, or folders of runs")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: of all networks")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--precision", default="int8", help="of the decoder's products: fp32, bf16 or int8")
    parser.add_argument("--threads", type=int, default=1, help="of a decoder; more pay off for large models alone")
    parser.add_argument("--key-file", type=Path, help="file with a key that each request must have")
    parser.add_argument("--allow-host", action="append", default=[], help="name that clients may call this server by")
    parser.add_argument("--allow-origin", action="append", default=[], help="web page that may use this server")
    parser.add_argument("--max-body", type=int, default=10, help="megabytes of a request")
    parser.add_argument("--max-waiting", type=int, default=256, help="inputs that may wait")
    options = parser.parse_args(words)
    for name in ("threads", "max_body", "max_waiting"):
        if (value := getattr(options, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    check_installed("s2s serve", "serve", PACKAGES)
    from s2s_plugin.server.app import create_app
    from s2s_plugin.server.limits import Limits

    key = None if options.key_file is None else _read_key(options.key_file)
    if key is None and not _is_loopback(options.host):
        say("      without --key-file anybody who reaches this machine may use it")
    host = f"[{options.host}]" if ":" in options.host else options.host  # as clients write it
    hosts = [*LOOPBACK, host, *options.allow_host] if _is_specific(options.host) else ["*"]
    torch.set_num_threads(options.threads)
    limits = Limits(body=options.max_body * 2**20, waiting=options.max_waiting)
    app = create_app(load_models(options.files, options.precision), limits, key, hosts, options.allow_origin)
    listener = listen(options.host, options.port)
    say(f"      http://{host}:{listener.getsockname()[1]}/  (Ctrl-C ends; /openapi.json describes it)")
    answer(app, listener)
    return 0


def _read_key(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UserError(f"{path}: must be a file with a key in it ({reason})") from None
    if not key or not key.isprintable():
        raise UserError(f"{path}: must be a file with a key in it, on one line")
    if path.stat().st_mode & 0o077:
        say(f"      {path}: other users of this machine may read the key; chmod 600 forbids it")
    return key


def answer(app: FastAPI, listener: socket.socket) -> None:
    """Answer requests until the process is to end."""
    import uvicorn

    from s2s_plugin.server.protocol import ImpatientProtocol

    logging.getLogger("asyncio").setLevel(logging.WARNING)  # fairseq sets all logging to DEBUG
    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        log_level="warning",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=30,
        ws_max_size=4 * app.state.service.limits.characters,  # bytes of UTF-8
    )
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again, which would skip atexit
    uvicorn.Server(config).run(sockets=[listener])


def _exit(*_: object) -> None:
    sys.exit()


def load_models(paths: Sequence[Path], precision: str) -> dict[str, Model]:
    """Return the models by name: of a file without its ending, of a run as app-name."""
    keep_few_kernels()
    models: dict[str, Model] = {}
    for path in paths:
        model = load(path, precision=precision)
        name = path.stem if path.is_file() else f"{model.app}-{path.resolve().name}"
        if name in models:
            raise UserError(f"{path}: there is a model {name} already; rename one")
        models[name] = model
        say(f"      {name}: {model.app}, {model.source_lang} to {model.target_lang}, {model.parameters:,} parameters")
    return models


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0: any that is free.

    Its protocol is TCP by number, without which asyncio does not switch Nagle's algorithm off.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        return listener
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host} --port {port}: cannot listen there ({reason}); choose another port") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_specific(host: str) -> bool:
    return host not in ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
