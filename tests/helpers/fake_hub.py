"""A server on this machine that speaks what huggingface_hub asks of the hub: repositories, commits, files."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Repositories with their commits, in memory; with a ``token``, only who has it may write.

    Attributes:
        repositories: by name; the files of each commit by its hash, the newest last.
        requests: method and path of each.
    """

    daemon_threads = True

    def __init__(self, token: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.token = token
        self.repositories: dict[str, dict[str, Files]] = {}
        self.blobs: Files = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, name: str, changes: Files) -> str:
        """Add a commit and return its hash."""
        commits = self.repositories[name]
        files = {**(list(commits.values())[-1] if commits else {}), **changes}
        digest = hashlib.sha1(b"".join(n.encode() + c for n, c in files.items()), usedforsecurity=False).hexdigest()
        commits[digest] = files
        return digest

    def find(self, name: str, revision: str) -> tuple[str, Files] | None:
        """Return hash and files of ``main``, or of a commit."""
        commits = self.repositories.get(name, {})
        digest = list(commits)[-1] if revision == "main" and commits else revision
        return (digest, commits[digest]) if digest in commits else None


@contextmanager
def serve_hub(token: str = "hf_secret") -> Iterator[Hub]:  # noqa: S107
    """Serve a hub without repositories."""
    with Hub(token) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    def parts(self) -> list[str]:
        self.server.requests.append(f"{self.command} {self.path}")
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def do_GET(self) -> None:
        match self.parts():
            case ["api", "models", owner, name, *rest]:
                revision = rest[1] if rest else "main"
                found = self.server.find(f"{owner}/{name}", revision)
                if found is None:
                    return self._missing(f"{owner}/{name}")
                siblings = [{"rfilename": file} for file in found[1]]
                if rest and rest[0] == "tree":
                    return self.answer([self._entry(*item) for item in found[1].items()])
                return self.answer({"id": f"{owner}/{name}", "sha": found[0], "siblings": siblings})
            case [owner, name, "resolve", revision, *path]:
                found = self.server.find(f"{owner}/{name}", revision)
                if found is None or "/".join(path) not in found[1]:
                    return self._missing(f"{owner}/{name}")
                content = found[1]["/".join(path)]
                etag = hashlib.sha256(content).hexdigest()
                headers = {"ETag": f'"{etag}"', "X-Repo-Commit": found[0], "Accept-Ranges": "bytes"}
                return self.answer(content, headers=headers)
            case _:
                return self.answer({"error": "no such page"}, 404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        parts = self.parts()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        match parts:
            case ["api", "validate-yaml"]:
                return self.answer({"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                request = json.loads(body)
                name = f"{request['organization']}/{request['name']}"
                if name in self.server.repositories:
                    return self.answer({"error": "You already created it", "url": f"{self.server.url}/{name}"}, 409)
                self.server.repositories[name] = {}
                return self.answer({"url": f"{self.server.url}/{name}", "id": name})
            case ["api", "models", _, _, "preupload", _]:
                files = [
                    {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".s2s") else "regular"}
                    for file in json.loads(body)["files"]
                ]
                return self.answer({"files": [{**file, "shouldIgnore": False, "oid": None} for file in files]})
            case [_, _, "info", "lfs", "objects", "batch"]:
                objects = [
                    {**each, "actions": {"upload": {"href": f"{self.server.url}/upload/{each['oid']}"}}}
                    for each in json.loads(body)["objects"]
                ]
                return self.answer({"transfer": "basic", "objects": objects})
            case ["api", "models", owner, name, "commit", _]:
                return self._commit(f"{owner}/{name}", body)
            case _:
                return self.answer({"error": "no such page"}, 404)

    def do_PUT(self) -> None:
        _, digest = self.parts()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert hashlib.sha256(content).hexdigest() == digest
        self.server.blobs[digest] = content
        self.answer(b"")

    def _commit(self, name: str, body: bytes) -> None:
        changes: Files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                changes[value["path"]] = self.server.blobs[value["oid"]]
        digest = self.server.commit(name, changes)
        url = f"{self.server.url}/{name}/commit/{digest}"
        self.answer({"success": True, "commitUrl": url, "commitOid": digest, "hookOutput": ""})

    def _entry(self, path: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return {"type": "file", "path": path, "size": len(content), "oid": digest}

    def _missing(self, name: str) -> None:
        known = name in self.server.repositories
        code = "RevisionNotFound" if known else "RepoNotFound"
        self.refuse(404, code, f"{'Revision' if known else 'Repository'} not found")
