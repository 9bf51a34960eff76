"""What the API and the pages take out of requests alike: who asks, switches, filters, pages, and whether it is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from deepdxf.encoder import Switches
from deepdxf.server.access import Access, Token
from deepdxf.server.jobs import Jobs
from deepdxf.server.library import Library
from deepdxf.server.metrics import Metrics
from deepdxf.server.problems import Problem
from deepdxf.server.work import Pose

Item = TypeVar("Item")
PAGE, MAX_PAGE = 24, 200


@dataclass
class State:
    """What the application holds, as ``app.state.server``."""

    library: Library
    jobs: Jobs
    access: Access
    metrics: Metrics


def state_of(request: Request) -> State:
    """The state of the application that a request is for."""
    state: State = request.app.state.server
    return state


Server = Annotated[State, Depends(state_of)]


def needs(scope: str) -> Callable[[Request], Token]:
    """A dependency: the client's token, which must have the scope. Raises Problem."""

    def check(request: Request) -> Token:
        token = state_of(request).access.who(request.headers, request.cookies)
        if token is None:
            raise Problem("no-token", "send the header `Authorization: Bearer TOKEN`, or sign in on the page")
        request.state.who = token.name
        if scope not in token.scopes:
            raise Problem("no-scope", f"this needs the scope {scope!r}, and the token {token.name!r} has it not")
        return token

    return check


SizeSwitch = Annotated[bool, Query(description="size matters; false: the same shape at another scale is as good")]
MirrorSwitch = Annotated[bool, Query(description="a mirrored drawing is as good")]
RotationSwitch = Annotated[bool, Query(description="a turned drawing is as good; a detail: by right angles")]


def switches_of(size: SizeSwitch = True, mirror: MirrorSwitch = False, rotation: RotationSwitch = False) -> Switches:
    """Switches out of the query."""
    return Switches(size, mirror, rotation)


def pose_of(
    size: SizeSwitch = True,
    mirror: MirrorSwitch = False,
    rotation: RotationSwitch = False,
    tolerance: Annotated[
        float | None, Query(gt=0, allow_inf_nan=False, description="drawing units of b; default: 0.01 mm or so")
    ] = None,
) -> Pose:
    """What may differ between compared drawings, out of the query."""
    return Pose(size, mirror, rotation, tolerance)


@dataclass(frozen=True)
class Part:
    """Which part of a list is asked for."""

    limit: int
    offset: int

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The part of a list."""
        return list(items[self.offset : self.offset + self.limit])

    def next(self, request: Request, total: int) -> str | None:
        """Path and query of the next part; None at the end."""
        return self.link(request, self.offset + self.limit) if self.offset + self.limit < total else None

    def previous(self, request: Request) -> str | None:
        """Path and query of the part before; None at the start."""
        return self.link(request, max(self.offset - self.limit, 0)) if self.offset else None

    @staticmethod
    def link(request: Request, offset: int) -> str:
        """The path and query of this request from another place on."""
        others = [(name, value) for name, value in request.query_params.multi_items() if name != "offset"]
        return f"{request.url.path}?{urlencode([*others, ('offset', str(offset))])}"


def part_of(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE, offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0
) -> Part:
    """The part out of the query."""
    return Part(limit, offset)


def uploaded(file: UploadFile) -> tuple[str, bytes]:
    """Name and bytes of a file that a form sent. Raises Problem when there is none."""
    data = file.file.read()
    if not data:
        named = f"the file {file.filename} is empty" if file.filename else "no file was sent"
        raise Problem("unreadable", f"{named}; choose a DXF or DWG drawing")
    return file.filename or "drawing", data


def tag_of(*parts: Any) -> str:
    """An entity tag of what an answer depends on."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "backslashreplace"), digest_size=12)
    return f'W/"{digest.hexdigest()}"'


def is_known(request: Request, response: Response, tag: str) -> bool:
    """Whether the client has the answer of this tag already; the response gets the tag either way."""
    response.headers["etag"] = tag
    given = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    return "*" in given or tag in given


def not_modified(tag: str) -> Response:
    """The answer to a client that has it already."""
    return Response(status_code=304, headers={"etag": tag})
