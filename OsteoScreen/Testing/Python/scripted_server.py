"""An HTTP server on loopback that answers as a test says: the right thing, the wrong one, half of it, or nothing."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    reply: BaseHTTPRequestHandler

    def answer(self, body: bytes, content_type: str, status: int = 200, **headers: str) -> None:
        """Answer with a whole body; ``Retry_After`` stands for the header Retry-After."""
        self.reply.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.reply.send_header(name.replace("_", "-"), value)
        self.reply.end_headers()
        self.reply.wfile.write(body)

    def json(self, content: Any, status: int = 200) -> None:
        self.answer(json.dumps(content).encode(), "application/dicom+json", status)

    def status(self, status: int, **headers: str) -> None:
        self.answer(b"", "text/plain", status, **headers)

    def page(self) -> None:
        self.answer(b"<html><form>Sign in, please</form></html>", "text/html; charset=utf-8")

    def part(self, content: bytes, boundary: str = "xyz") -> None:
        """Answer with one DICOM object."""
        self.answer(multipart(content, boundary), f'multipart/related; type="application/dicom"; boundary={boundary}')

    def half(self, content: bytes, *, announced: bool) -> None:
        """Answer with the first half of one DICOM object and hang up, having said how much would come or not."""
        whole = multipart(content, "xyz")
        self.reply.send_response(200)
        self.reply.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=xyz')
        if announced:
            self.reply.send_header("Content-Length", str(len(whole)))
        self.reply.send_header("Connection", "close")
        self.reply.end_headers()
        self.reply.wfile.write(whole[: len(whole) // 2])
        self.reply.close_connection = True


def multipart(content: bytes, boundary: str) -> bytes:
    return b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (
        boundary.encode(),
        content,
        boundary.encode(),
    )


@dataclass
class Scripted:
    """``url`` of the server, and the requests that it got."""

    url: str
    requests: list[Request] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.split("/")[2]


@contextmanager
def scripted(script: Callable[[Request], None], tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Run a server whose every request is given to ``script``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers), body, self)
            server.requests.append(request)
            script(request)

        do_GET = do_POST = handle_any  # noqa: N815 (the names that http.server calls)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that hangs up, or does not trust us, is what is tested

    httpd = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake in the thread of the request: one that fails must not end the loop that accepts.
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    server = Scripted(f"{'https' if tls else 'http'}://127.0.0.1:{httpd.server_address[1]}/dicom-web")
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
