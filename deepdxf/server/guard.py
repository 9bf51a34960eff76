"""What stands around every request: host and origin, limits on body, time and number, headers, request log, metrics.

The log has a line a request: number, method, path of the route, status, time, bytes, name of the token. No name of a
drawing, no word that was searched for and no token ever stands in it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import traceback
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepdxf.server.metrics import Metrics
from deepdxf.server.problems import Problem
from deepdxf.server.settings import Settings

LOG = logging.getLogger("deepdxf.server")
SAFE = {"GET", "HEAD", "OPTIONS"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with none at all, browsers would hide the origin of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "private, no-cache",
}
DRAINED = 8  # a body that is refused is read to its end, up to so many times the limit: or browsers show no answer
# Makes the answer to a problem: path, problem, number of the request -> media type and body
Render = Callable[[str, Problem, str], tuple[str, bytes]]


class Guard:
    """ASGI middleware, the outermost of the application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, render: Render) -> None:
        self._app, self._settings, self._metrics, self._render = app, settings, metrics, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(self._settings, scope, receive, send)
        scope["state"]["request_id"] = request.number
        self._metrics.now += 1
        try:
            try:
                self._admit(request)
                await self._app(scope, request.receive, request.send)
            except ClientDisconnect:
                pass
            except Problem as problem:
                request.problem = problem
            except Exception as error:  # its text may hold contents: only its type and place are logged
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(place.filename).name}:{place.lineno}"
                LOG.error("%s failed: %s at %s", request.number, type(error).__name__, where)
                request.problem = Problem("internal", f"this is a defect; the log has it under {request.number}")
            if request.problem is not None and not request.started and not request.gone:
                await request.drain()
                await request.refuse(*self._render(scope["path"], request.problem, request.number))
        finally:
            self._metrics.now -= 1
            self._note(request, scope)

    def _admit(self, request: _Request) -> None:
        """Refuse what must not get further. Raises Problem."""
        headers, hosts = request.headers, self._settings.hosts
        host = headers.get("host", "")
        # a page of another site whose name was pointed at this computer is refused by the name it uses
        if hosts and (urlsplit(f"//{host}").hostname or "") not in hosts:
            raise Problem("wrong-host", "ask for the server by the name or address it was started with")
        origin = headers.get("origin")
        if request.method not in SAFE and origin is not None and urlsplit(origin).netloc != host:
            raise Problem("foreign-site", "forms and scripts of other sites may not use this server")
        if self._metrics.now > self._settings.requests:
            raise Problem("busy", f"more than {self._settings.requests} requests at once; try again in a moment")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > request.limit:
            raise request.too_large()

    def _note(self, request: _Request, scope: MutableMapping[str, Any]) -> None:
        seconds = time.perf_counter() - request.since
        route = scope.get("route")
        path = str(getattr(route, "path", "") or "other")
        who = scope["state"].get("who", "-")
        self._metrics.request(path, request.status, seconds)
        LOG.info(
            "%s %s %s %d %.0f ms %d in %d out by %s",
            *(request.number, request.method, path, request.status, 1000 * seconds),
            *(request.received, request.sent, who),
        )


class _Request:
    """A request on its way in and its answer on the way out."""

    def __init__(self, settings: Settings, scope: Scope, receive: Receive, send: Send) -> None:
        self.number = secrets.token_hex(6)
        self.method = str(scope["method"])
        self.headers = Headers(scope=scope)
        self.limit = settings.upload_mb * 2**20 + 2**16  # and what forms put around a file
        self.since = time.perf_counter()
        self.received = self.sent = self.status = 0
        self.started = False
        self.gone = False  # the client is, before it had an answer
        self.problem: Problem | None = None
        self._settings, self._receive, self._send = settings, receive, send
        self._until = time.monotonic() + settings.body_s
        self._ended = False  # the body has been read

    def too_large(self) -> Problem:
        """The problem of a body beyond the limit."""
        most = self._settings.upload_mb
        text = f"the file is larger than the {most} MB that this server takes; a DXF compressed to .dxf.gz is a tenth"
        return Problem("too-large", text, limit_bytes=most * 2**20)

    async def receive(self) -> Message:
        """A part of the request, counted; beyond a limit the client is treated as gone, and `send` tells it why."""
        if self._ended:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(self._until - time.monotonic(), 0.001))
        except TimeoutError:
            limit = self._settings.body_s
            self.problem = Problem("too-slow-body", f"the body did not arrive within {limit:g} s; send it again")
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self.received > self.limit:
                self.problem = self.too_large()
                return {"type": "http.disconnect"}
        elif not self.started:
            self.gone, self.status = True, 499  # as other servers log it
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer; what the application says of a body that was cut off here is not sent."""
        if (self.problem is not None and not self.started) or self.gone:
            return
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers["x-request-id"] = self.number
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def drain(self) -> None:
        """Read what is left of a body that is refused, within limits."""
        if self.method in SAFE or (self.problem and self.problem.slug == "too-slow-body"):
            return
        try:
            async with asyncio.timeout(self._settings.body_s):
                while not self._ended and self.received < DRAINED * self.limit:
                    message = await self._receive()
                    self.received += len(message.get("body", b""))
                    self._ended = not message.get("more_body", False)
        except TimeoutError:
            pass

    async def refuse(self, media_type: str, body: bytes) -> None:
        """Send the answer to a problem."""
        assert self.problem is not None
        problem, self.problem = self.problem, None
        headers = {**problem.headers, "content-type": media_type, "content-length": str(len(body))}
        if not self._ended and self.method not in SAFE:
            headers["connection"] = "close"
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body if self.method != "HEAD" else b""})
