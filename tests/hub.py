"""A server on this machine that speaks as much of the hub's API as its library asks for, and misbehaves when told."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlparse

COMMIT = "5" * 40


class Hub:
    """Serves folders as repositories of the hub.

    Args:
        repositories: ``models/ORG/NAME`` or ``datasets/ORG/NAME`` to the folder with its files.

    Attributes:
        cut: Names of files whose first answer breaks off in the middle.
        changed: Names of files that come with other bytes than announced.
        lost: Names of files that are listed and not there.
        asked: Method, path and range of every request.
    """

    def __init__(self, **repositories: Path) -> None:
        self.repositories = repositories
        self.cut: set[str] = set()
        self.changed: set[str] = set()
        self.lost: set[str] = set()
        self.asked: list[tuple[str, str, str | None]] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Starts to listen."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = self._open.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._open.close()

    @property
    def endpoint(self) -> str:
        """The address, for ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def find(self, path: str) -> tuple[str, Path, str] | None:
        """Repository, its folder, and the rest of a path behind it."""
        for name, folder in self.repositories.items():
            if path == name or path.startswith(f"{name}/"):
                return name, folder, path.removeprefix(name).strip("/")
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path).strip("/")
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        found = self.hub.find(path.removeprefix("api/"))
        if not path.startswith("api/"):
            found = self.hub.find(path) or self.hub.find(f"models/{path}")
            return self._file(*found[1:]) if found else self._missing("RepoNotFound")
        if found is None:
            return self._missing("RepoNotFound")
        name, folder, rest = found
        if rest.startswith("tree/"):
            return self._json([_entry(folder, file) for file in _files(folder)])
        siblings = [{"rfilename": e["path"], "size": e["size"]} for e in (_entry(folder, f) for f in _files(folder))]
        return self._json({"id": "/".join(name.split("/")[1:]), "sha": COMMIT, "siblings": siblings, "private": False})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = unquote(urlparse(self.path).path).strip("/")
        self.hub.asked.append((self.command, path, None))
        wanted = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        found = self.hub.find(path.removeprefix("api/"))
        if found is None or not found[2].startswith("paths-info/"):
            return self._missing("RepoNotFound")
        folder = found[1]
        names = [file for file in _files(folder) if file in wanted]
        return self._json([_entry(folder, name) for name in names])

    def _file(self, folder: Path, rest: str) -> None:
        name = rest.split("/", 2)[2] if rest.count("/") >= 2 else ""
        file = folder / name
        if not name or not file.is_file() or Path(name).name in self.hub.lost:
            return self._missing("EntryNotFound")
        content = file.read_bytes()
        etag = _hash(content)
        if Path(name).name in self.hub.changed:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        part = content[start:]
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(part)))
        if self.headers.get("Range"):
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if Path(name).name in self.hub.cut:
            self.hub.cut.discard(Path(name).name)
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            return None
        self.wfile.write(part)
        return None

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, name: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": _git(content)}


def _hash(content: bytes) -> str:
    """Large files are known by SHA-256, small ones by git's SHA-1."""
    return hashlib.sha256(content).hexdigest() if len(content) > 10_000 else _git(content)


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
