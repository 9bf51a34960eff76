"""The application: API and pages around one archive."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.responses import RedirectResponse, Response

from deepdxf import __version__
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.server import api, pages
from deepdxf.server.access import Access, load_tokens
from deepdxf.server.guard import Guard
from deepdxf.server.jobs import Jobs
from deepdxf.server.library import Library
from deepdxf.server.metrics import Metrics
from deepdxf.server.problems import MEDIA_TYPE, Problem, of_status
from deepdxf.server.requests import State, state_of
from deepdxf.server.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application that serves an archive.

    Raises:
        DeepDXFError: the archive or the tokens cannot be read.
    """
    access = Access(load_tokens(settings.tokens) if settings.tokens else None)
    metrics = Metrics()
    library = Library(settings, metrics)
    state = State(library, Jobs(library), access, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=warm, args=(library,), daemon=True).start()
        yield
        state.jobs.close()
        library.close()

    app = FastAPI(
        title="DeepDXF",
        version=__version__,
        description="Search and compare CAD drawings by the vectors in them. Errors are problem documents (RFC 9457).",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the framework's page loads scripts of other servers; ours is /api
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.server = state
    MultiPartParser.spool_max_size = settings.upload_mb * 2**20 + 1  # all in memory: uploads never lie on the disk
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(DeepDXFError, on_error)
    app.add_middleware(Guard, settings=settings, metrics=metrics, render=render)
    return app


def warm(library: Library) -> None:
    """Read what the first request would have to wait for."""
    try:
        library.catalogue()
        ids, _ = library.archive.vectors()
        if len(ids):
            library.search(str(ids[0]), Switches(), None, None)
    except (DeepDXFError, Problem):
        pass  # the first request will tell


def render(path: str, problem: Problem, number: str) -> tuple[str, bytes]:
    """Media type and body of the answer to a problem: a document for programs, a page for people."""
    if path.startswith("/api/"):
        return MEDIA_TYPE, problem.body(number)
    return "text/html; charset=utf-8", pages.problem_page(problem, number)


def answer(request: Request, problem: Problem) -> Response:
    """The response to a problem."""
    number = request.state.request_id
    if problem.slug == "no-token" and not request.url.path.startswith("/api/"):
        return RedirectResponse(pages.login_path(request), status_code=303)
    media_type, body = render(request.url.path, problem, number)
    return Response(body, problem.status, {**problem.headers, "content-type": media_type})


async def on_problem(request: Request, error: Exception) -> Response:
    """A problem that was raised on purpose."""
    assert isinstance(error, Problem)
    return answer(request, error)


async def on_error(request: Request, error: Exception) -> Response:
    """An error of the archive that no one turned into a problem."""
    return answer(request, Problem("archive", state_of(request).library.public(str(error))))


async def on_http(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    return answer(request, of_status(error.status_code))


async def on_invalid(request: Request, error: Exception) -> Response:
    """A request whose parts are not of their types."""
    assert isinstance(error, RequestValidationError)
    errors: list[dict[str, Any]] = [
        {"where": ".".join(str(part) for part in item["loc"]), "message": item["msg"]} for item in error.errors()
    ]
    detail = "; ".join(f"{item['where']}: {item['message']}" for item in errors)
    return answer(request, Problem("invalid", detail, errors=errors))
