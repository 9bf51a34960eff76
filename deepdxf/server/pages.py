"""The web page: server-rendered, usable without scripts, and without a network."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from itertools import islice
from typing import Annotated, Any, cast
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from deepdxf import __version__, overlay
from deepdxf.console import size_text
from deepdxf.decisions import Verdict
from deepdxf.duplicates import DecidedMeanwhile
from deepdxf.encoder import Switches
from deepdxf.server.access import COOKIE, SESSION_S
from deepdxf.server.api import (
    Id,
    PartOf,
    Reference,
    box_of,
    brief,
    group_model,
    name_of,
    proper,
    query_of,
    search_result,
    shown_groups,
    step,
    version_model,
)
from deepdxf.server.jobs import ENDED, Job
from deepdxf.server.library import Grouping, Sought, is_upload
from deepdxf.server.problems import Problem
from deepdxf.server.requests import Server, State, is_known, needs, not_modified, tag_of, uploaded
from deepdxf.server.work import Pose
from deepdxf.where import quote

router = APIRouter(include_in_schema=False)
READ, WRITE = [Depends(needs("read"))], [Depends(needs("write"))]
RECENT = 12  # drawings on the first page
LISTED = 60  # texts, layers … of a drawing that are shown at once
STATUSES = ("ok", "repaired", "partial", "too large", "failed")


# --- files of the page -----------------------------------------------------------------------------------------------

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
VENDORED = ("vendor/htmx-2.0.11.min.js", "vendor/svg-pan-zoom-3.6.2.min.js")


def _static() -> dict[str, bytes]:
    """Name -> content of all files that the pages load; read once, so that no name reaches the disk."""
    folder = resources.files("deepdxf.server") / "static"
    found = {
        name: (folder / name).read_bytes()
        for name in ("site.css", "site.js", "map.js", "review.js", "detail.js", "icon.svg", *VENDORED)
    }
    # the comparison's page stands alone elsewhere; here its rules are kept to its part of the page
    found["overlay.css"] = f".overlay {{\n{overlay.STYLE}\n}}\n".encode()
    found["overlay.js"] = overlay.SCRIPT.encode()
    return found


STATIC = _static()
VERSIONS = {name: hashlib.blake2b(content, digest_size=6).hexdigest() for name, content in STATIC.items()}


def static_path(name: str) -> str:
    """The path of a file, with a mark of its content: browsers may keep it for ever."""
    return f"/static/{name}?v={VERSIONS[name]}"


@router.get("/static/{name:path}")
def static(name: str, request: Request) -> Response:
    """A file of the page."""
    if name not in STATIC:
        raise Problem("not-found", "no such file of the page")
    suffix = name[name.rindex(".") :]
    fresh = request.query_params.get("v") == VERSIONS[name]
    keep = "public, max-age=31536000, immutable" if fresh else "no-cache"
    return Response(STATIC[name], media_type=TYPES[suffix], headers={"cache-control": keep})


# --- templates -------------------------------------------------------------------------------------------------------


def place_text(place: Mapping[str, Any]) -> str:
    """Where a detail lies, and how."""
    x0, y0, x1, y1 = place["box"]
    parts = [f"({x0:.6g}, {y0:.6g}) to ({x1:.6g}, {y1:.6g})"]
    parts += ["mirrored"] if place["mirrored"] else []
    parts += [f"turned by {place['rotation']:g}°"] if place["rotation"] else []
    parts += [f"{place['scale']:.4g} × as large"] if abs(place["scale"] - 1) > 1e-6 else []
    return ", ".join(parts)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("deepdxf.server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": static_path, "version": __version__, "statuses": STATUSES}
    made.filters |= {
        "name": lambda path: path.rsplit("/", 1)[-1],
        "score": lambda value: f"{value:.3f}",
        "percent": lambda value: f"{value:.0%}",
        "share": lambda value: f"{min(max(value, 0.0), 1.0):.3f}",
        "thousands": lambda value: f"{value:,}".replace(",", " "),
        "place": place_text,
        "day": lambda value: value.strftime("%Y-%m-%d") if value else "",
        "minute": lambda value: value.strftime("%Y-%m-%d %H:%M") if value else "",
        "kb": lambda value: f"{value / 1000:,.0f} kB".replace(",", " ") if value >= 1000 else f"{value} bytes",
        "size": lambda item: size_text(*(made.getattr(item, name) for name in ("width", "height", "unit_mm"))),
    }
    return made


TEMPLATES = _environment()


def page(request: Request, server: State, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page out of its template."""
    token = server.access.who(request.headers, request.cookies)
    frame = {
        "path": request.url.path,
        "signed_in": token is not None and not server.access.open,
        "may_write": token is not None and "write" in token.scopes,
        "max_bytes": server.library.settings.upload_mb * 2**20,
        "known": token is not None,
    }
    return HTMLResponse(TEMPLATES.get_template(template).render(**frame, **values), status)


def problem_page(problem: Problem, number: str) -> bytes:
    """A problem as a page."""
    frame = {"path": "", "signed_in": False, "may_write": False, "max_bytes": 0, "known": True}
    return TEMPLATES.get_template("problem.html").render(problem=problem, number=number, **frame).encode()


# --- searching and browsing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filters:
    """What the fields beside a list ask for; all texts, as the form has them."""

    name: str = ""
    layer: str = ""
    words: str = ""
    dimension: str = ""
    within: str = ""
    width_from: str = ""
    width_to: str = ""
    entities_from: str = ""
    entities_to: str = ""
    status: str = ""
    where: str = ""

    @property
    def set(self) -> int:
        """How many are set."""
        return sum(bool(getattr(self, f.name)) for f in fields(self) if f.name != "within")

    def expression(self) -> str | None:
        """The filter of all fields; None: everything passes. Raises Problem."""
        parts = []
        if self.name:
            parts.append(f"path like {quote(f'%{self.name}%')}")
        if self.layer:
            parts.append(f"layer like {quote(self.layer)}")
        parts += [f"text like {quote(f'%{word}%')}" for word in self.words.split()]
        if self.dimension:
            parts.append(f"dimension {number(self.dimension, 'dimension')} ± {number(self.within or '0', 'within')}")
        for column, low, high in (
            ("width_mm", self.width_from, self.width_to),
            ("entities", self.entities_from, self.entities_to),
        ):
            parts += [f"{column} >= {number(low, column)}"] if low else []
            parts += [f"{column} <= {number(high, column)}"] if high else []
        if self.status:
            parts.append(f"status = {quote(self.status)}")
        if self.where:
            parts.append(f"({self.where})")
        return " and ".join(parts) or None


def number(text: str, name: str) -> str:
    """A number that people typed, with a point or a comma. Raises Problem."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Problem("bad-filter", f"{name.replace('_', ' ')}: {text!r} is not a number")
    return f"{value:.12g}" if abs(value) < 1e12 else f"{value:e}"


def filters_of(request: Request) -> Filters:
    """The filters out of the query."""
    given = request.query_params
    return Filters(**{f.name: given.get(f.name, "").strip()[:1000] for f in fields(Filters)})


FiltersOf = Annotated[Filters, Depends(filters_of)]
Flag = Annotated[bool, Query()]


@router.get("/", dependencies=READ)
def start(request: Request, server: Server) -> Response:
    """The first page: where a drawing is dropped, and what is new in the archive."""
    catalogue = server.library.catalogue()
    readable = (row for row in catalogue.rows.values() if row["status"] != "failed")
    recent = [brief(server, row) for row in islice(readable, RECENT)]
    return page(request, server, "start.html", recent=recent, total=len(catalogue.rows), counts=catalogue.statuses)


@router.post("/search", dependencies=READ)
def upload(
    server: Server, file: Annotated[UploadFile, File()], any_size: bool = Form(False), mirrored: bool = Form(False),
    rotated: bool = Form(False),
) -> Response:  # fmt: skip
    """Take a drawing that was dropped and go to its hits."""
    made = server.library.upload(*uploaded(file))
    given = {"query": made.id, "any_size": any_size, "mirrored": mirrored, "rotated": rotated}
    return RedirectResponse(f"/search?{urlencode({k: v for k, v in given.items() if v})}", status_code=303)


@router.get("/search", dependencies=READ)
def search(
    request: Request,
    server: Server,
    part: PartOf,
    filters: FiltersOf,
    query: Annotated[str, Query(pattern=r"^[\w-]{0,64}$")] = "",
    text: Annotated[str, Query(max_length=1000)] = "",
    any_size: Flag = False,
    mirrored: Flag = False,
    rotated: Flag = False,
    min_score: str = "",
) -> Response:
    """Hits with thumbnails, scores and reasons; a problem stands where the hits would."""
    if not query and not text.strip():
        return RedirectResponse("/", status_code=303)
    switches = Switches(not any_size, mirrored, rotated)
    problem, result, asked = None, None, None
    try:
        asked = query_of(server, query) if query else None
        least = float(number(min_score, "least score")) if min_score.strip() else None
        where = filters.expression()
        library = server.library
        found = library.search(query, switches, where, least) if query else library.search_text(text, where, least)
        result = search_result(request, server, found, part)
    except Problem as error:
        problem = error
    return page(
        request,
        server,
        "search.html",
        problem.status if problem else 200,
        problem=problem,
        result=result,
        query=asked,
        text=text,
        switches={"any_size": any_size, "mirrored": mirrored, "rotated": rotated},
        filters=filters,
        min_score=min_score,
        layers=server.library.catalogue().layers,
        previous=part.previous(request),
        encoder=server.library.encoder_shown,
    )


@router.get("/drawings", dependencies=READ)
def browse(request: Request, server: Server, part: PartOf, filters: FiltersOf) -> Response:
    """All drawings, newest file first, or those that pass filters."""
    problem, items, total = None, [], 0
    try:
        rows = server.library.browse(filters.expression())
        items, total = [brief(server, row) for row in part.of(rows)], len(rows)
    except Problem as error:
        problem = error
    return page(
        request,
        server,
        "browse.html",
        problem.status if problem else 200,
        problem=problem,
        items=items,
        total=total,
        offset=part.offset,
        filters=filters,
        layers=server.library.catalogue().layers,
        next=part.next(request, total),
        previous=part.previous(request),
    )


# --- one drawing, two drawings ---------------------------------------------------------------------------------------


@router.get("/drawings/{id}", dependencies=READ)
def drawing(id: Id, request: Request, server: Server) -> Response:
    """A drawing with all that is known of it."""
    if is_upload(id):
        return page(request, server, "drawing.html", id=id, query=query_of(server, id), facts=None, listed=LISTED)
    return page(request, server, "drawing.html", id=id, query=None, facts=server.library.facts(id), listed=LISTED)


@router.get("/drawings/{id}/view", dependencies=READ)
def view(id: Id, server: Server) -> Response:
    """The drawing's picture to be put into its page; a problem stands where it would."""
    try:
        drawn = server.library.drawn(id)
        content = Markup(drawn.svg)  # made by `render.svg`, which escapes what drawings hold
        return HTMLResponse(TEMPLATES.get_template("view.html").render(svg=content, problem=None, at=drawn.to_picture))
    except Problem as problem:
        return HTMLResponse(TEMPLATES.get_template("view.html").render(svg="", problem=problem), problem.status)


@router.get("/drawings/{id}/thumbnail.png", dependencies=READ)
def thumbnail(id: Id, request: Request, server: Server) -> Response:
    """A drawing's thumbnail; a sign in its place where there is none."""
    tag = tag_of("thumbnail", id, "" if is_upload(id) else server.library.row(id)["hash"])
    headers = Response()
    if is_known(request, headers, tag):
        return not_modified(tag)
    picture = server.library.thumbnail(id)
    if picture is None:
        return Response(NO_PICTURE, media_type="image/svg+xml")
    return Response(picture, media_type="image/png", headers={"etag": tag, "cache-control": "private, max-age=60"})


NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" fill="#ffffff"/>'
    '<path d="M16 8H40L48 16V56H16Z M40 8V16H48 M24 28L40 44M40 28L24 44" fill="none" stroke="#8b95a1" '
    'stroke-width="2"/></svg>'
)


@router.get("/compare", dependencies=READ)
def compare(
    a: Reference, b: Reference, request: Request, server: Server, any_size: Flag = False, mirrored: Flag = False,
    rotated: Flag = False, tolerance: str = "",
) -> Response:  # fmt: skip
    """Two drawings over each other, with the list of what differs."""
    limit = float(number(tolerance, "tolerance")) if tolerance.strip() else None
    if limit is not None and limit <= 0:
        raise Problem("bad-request", f"a tolerance of {tolerance}; it must be a number above 0, in drawing units")
    _, body = server.library.compare(a, b, Pose(not any_size, mirrored, rotated, limit), "html")
    switches = {"any_size": any_size, "mirrored": mirrored, "rotated": rotated}
    names = {"a": server.library.name(a), "b": server.library.name(b)}
    swapped = urlencode({"a": b, "b": a, **{name: "true" for name, on in switches.items() if on}})
    given: dict[str, Any] = {"a": a, "b": b, "swapped": swapped, "switches": switches, "tolerance": tolerance}
    content = Markup(body)  # made by `overlay.page_body`, which escapes what drawings hold
    return page(request, server, "compare.html", body=content, names=names, **given)


@router.post("/compare", dependencies=READ)
def compare_with(server: Server, a: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> Response:
    """Take a second drawing and go to the comparison."""
    server.library.name(a)
    made = server.library.upload(*uploaded(file))
    return RedirectResponse(f"/compare?{urlencode({'a': a, 'b': made.id})}", status_code=303)


# --- duplicates and revisions ----------------------------------------------------------------------------------------

VERDICTS: dict[str, str] = {"same": "the same", "not": "not the same", "ignore": "ignored", "open": "open"}
ACTS: dict[str, str] = {"same": "the same", "not": "not the same", "ignore": "ignore", "open": "open again"}
GROUPS = 10  # on a page
MEMBERS = 12  # of a group that are shown with pictures
PATIENCE_S = 0.5  # that a page waits for a job, before it shows how far that is


@dataclass(frozen=True)
class Review:
    """Which groups of duplicates are looked at."""

    min_score: str = "0.95"
    where: str = ""
    show: str = "open"
    mirrored: str = ""
    rotated: str = ""
    offset: str = "0"

    @property
    def link(self) -> str:
        """The page of it."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return f"/duplicates?{urlencode({name: value for name, value in given.items() if value})}"

    @property
    def grouping(self) -> Grouping:
        """What is asked for. Raises Problem."""
        least = float(number(self.min_score, "least score"))
        return Grouping(least, self.where or None, bool(self.mirrored), bool(self.rotated))

    @property
    def start(self) -> int:
        """The first group of the page."""
        return int(self.offset) if self.offset.isdecimal() and len(self.offset) < 8 else 0


def review_of(given: Mapping[str, Any]) -> Review:
    """The review out of a query or a form."""
    made = {f.name: str(given[f.name]).strip()[:1000] for f in fields(Review) if given.get(f.name)}
    return Review(**made)


@router.get("/duplicates", dependencies=READ)
def duplicates(request: Request, server: Server) -> Response:
    """Groups of duplicates to decide about; while they are looked for, how far that is."""
    review = review_of(request.query_params)
    try:
        job = grouping_job(server, review.grouping, request.query_params.get("job", ""))
    except Problem as problem:
        return review_page(request, server, review, problem=problem)
    return review_page(request, server, review, job=job)


def grouping_job(server: State, asked: Grouping, id: str) -> Job | None:
    """The job that looks for the groups, begun now if need be; None where they are known. Raises Problem."""
    if server.library.has_duplicates(asked):
        return None
    job = server.jobs.get(id) if id else server.jobs.duplicates(asked)
    if job.state == "done":  # but the archive has changed since
        job = server.jobs.duplicates(asked)
    until = time.monotonic() + PATIENCE_S
    while job.state not in ENDED and time.monotonic() < until:
        time.sleep(0.02)
    if job.state == "failed":
        raise Problem("bad-request", job.message)
    return None if job.state == "done" else job


def review_page(
    request: Request,
    server: State,
    review: Review,
    *,
    job: Job | None = None,
    problem: Problem | None = None,
    conflict: Mapping[str, Any] | None = None,
) -> Response:
    """The page of the review: its groups, a problem or a job in their place, a conflict above them."""
    groups: list[Any] = []
    total = 0
    if problem is None and job is None:
        try:
            found = shown_groups(server, review.grouping, review.show)
            total = len(found)
            start = review.start if review.start < total else max(total - 1, 0) // GROUPS * GROUPS
            groups = [group_model(server, group) for group in found[start : start + GROUPS]]
            review = replace(review, offset=str(start))
        except Problem as error:
            problem = error
    previous = replace(review, offset=str(max(review.start - GROUPS, 0))).link if review.start else None
    following = replace(review, offset=str(review.start + GROUPS)).link if review.start + GROUPS < total else None
    return page(
        request,
        server,
        "duplicates.html",
        problem.status if problem else 412 if conflict else 200,
        verdicts=VERDICTS,
        acts=ACTS,
        shown=MEMBERS,
        review=review,
        job=job,
        problem=problem,
        conflict=conflict,
        drawings=len(server.library.catalogue().rows),
        groups=groups,
        total=total,
        previous=previous,
        next=following,
    )


@router.post("/duplicates", dependencies=WRITE)
async def decide(request: Request, server: Server) -> Response:
    """Take decisions: `one` is "VERDICT GROUP"; `bulk` a verdict for every `group` that is ticked, `insist` one for every
    `again`. `seen` are "GROUP MARK": of what others have decided meanwhile the user is told first."""
    async with request.form(max_fields=10_000) as form:
        review = review_of(form)
        seen = dict(str(pair).split(" ", 1) for pair in form.getlist("seen") if " " in str(pair))
        verdict, _, one = str(form.get("one") or form.get("insist") or form.get("bulk") or "").partition(" ")
        ids = [str(id) for id in form.getlist("again" if form.get("insist") else "group")]
        ids = [one] if one else ids
    if verdict not in VERDICTS:
        raise Problem("bad-request", f"decide {', '.join(VERDICTS)}")
    if not ids:
        raise Problem("bad-request", "tick the groups that the decision is about")

    def work() -> Response:
        found = server.library.duplicates(review.grouping)
        wanted = cast("Verdict | None", None if verdict == "open" else verdict)
        try:
            server.library.decide(found, wanted, ids, by=name_of(request), seen=seen)
        except DecidedMeanwhile as error:
            now = {group.id: group.mark for group in server.library.duplicates(review.grouping).groups}
            changed = [group_model(server, group) for group in error.groups]
            marks = {id: now[id] for id in ids if id in now}
            return review_page(
                request, server, review, conflict={"verdict": verdict, "changed": changed, "marks": marks}
            )
        return RedirectResponse(review.link, status_code=303)

    return await run_in_threadpool(work)


# --- details ---------------------------------------------------------------------------------------------------------

LEAST_SHARE = "0.6"  # of a detail, for a drawing to contain it


@router.post("/parts", dependencies=READ)
def find_detail(
    server: Server,
    file: Annotated[UploadFile | None, File()] = None,
    query: Annotated[str, Form(pattern=r"^[\w-]{0,64}$")] = "",
    x0: Annotated[str, Form()] = "", y0: Annotated[str, Form()] = "",
    x1: Annotated[str, Form()] = "", y1: Annotated[str, Form()] = "",
    any_size: bool = Form(False), mirrored: bool = Form(False), rotated: bool = Form(False),
    min_share: Annotated[str, Form()] = LEAST_SHARE,
    where: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:  # fmt: skip
    """Take a detail, a drawing or a box of one, and go to where the drawings that contain it will be shown."""
    corners = [text.strip() for text in (x0, y0, x1, y1)]
    box = proper(box_of(",".join(number(text, "corner") for text in corners))) if any(corners) else None
    share = float(number(min_share.strip() or LEAST_SHARE, "least share"))
    if not 0 < share <= 1:
        raise Problem("bad-request", f"a least share of {share:g}; it must be above 0 and at most 1")
    if not query:
        if file is None:
            raise Problem("unreadable", "no file was sent; choose a DXF or DWG drawing")
        query = server.library.upload(*uploaded(file)).id
    switches = Switches(not any_size, mirrored, rotated)
    job = server.jobs.parts(server.library.sought(query, box, switches, share, where.strip() or None))
    return RedirectResponse(f"/parts/{job.id}", status_code=303)


@router.get("/parts/{id}", dependencies=READ)
def detail(id: Id, request: Request, server: Server, part: PartOf) -> Response:
    """The drawings that contain a detail, or how far the search is."""
    job = server.jobs.get(id)
    sought = job.about
    if not isinstance(sought, Sought):
        raise Problem("not-found", "this job is not about a detail")
    try:
        asked = query_of(server, sought.reference)
    except Problem:  # the upload is forgotten: what was found still stands
        asked = None
    hits = job.result.get("hits", ())
    return page(
        request,
        server,
        "detail.html",
        job=job,
        sought=sought,
        query=asked,
        items=part.of(hits),
        total=len(hits),
        offset=part.offset,
        next=part.next(request, len(hits)),
        previous=part.previous(request),
    )


@router.get("/revisions/{id}", dependencies=READ)
def revisions(id: Id, request: Request, server: Server) -> Response:
    """The versions of a drawing as a timeline."""
    chain = server.library.revisions(id, 0.5)
    versions = [version_model(server, version) for version in chain.versions]
    about: dict[str, Any] = {"versions": versions, "ordered_by": chain.ordered_by, "notes": chain.notes}
    return page(request, server, "revisions.html", id=id, name=server.library.name(id), **about)


@router.get("/step", dependencies=READ)
def step_part(a: Reference, b: Reference, server: Server) -> Response:
    """What changed from a version to the next, to be put between them."""
    return HTMLResponse(TEMPLATES.get_template("step.html").render(step=step(server, a, b)))


# --- the archive -----------------------------------------------------------------------------------------------------


@router.get("/map", dependencies=READ)
def map_page(request: Request, server: Server) -> Response:
    """The map of the archive."""
    return page(request, server, "map.html", total=len(server.library.catalogue().rows))


@router.get("/archive", dependencies=READ)
def archive(request: Request, server: Server) -> Response:
    """What is in the archive, and its jobs."""
    catalogue = server.library.catalogue()
    counts: dict[str, int] = {}
    for row in catalogue.rows.values():
        name = server.library.folder(row["root"])
        counts[name] = counts.get(name, 0) + 1
    return page(
        request,
        server,
        "archive.html",
        folders=counts,
        counts=catalogue.statuses,
        total=len(catalogue.rows),
        encoder=server.library.encoder_shown,
        jobs=[job.document() for job in server.jobs.public() if job.writes][:10],
    )


@router.post("/archive/index", dependencies=WRITE)
def start_indexing(server: Server, prune: bool = Form(False)) -> Response:
    """Bring the archive up to date."""
    server.jobs.index("changed", prune)
    return RedirectResponse("/archive", status_code=303)


@router.post("/jobs/{id}/cancel", dependencies=READ)
def cancel(id: Id, request: Request, server: Server, next: Annotated[str, Form()] = "/archive") -> Response:
    """Stop a job."""
    if server.jobs.get(id).writes:
        needs("write")(request)
    server.jobs.cancel(id)
    return RedirectResponse(own_path(next), status_code=303)


@router.get("/api", dependencies=READ)
def api_page(request: Request, server: Server) -> Response:
    """The paths of the API."""
    described: Mapping[str, Any] = request.app.openapi()
    rows = [
        {"method": method.upper(), "path": path, "about": entry.get("description") or entry["summary"]}
        for path, methods in described["paths"].items()
        for method, entry in methods.items()
    ]
    return page(request, server, "api.html", rows=rows)


# --- signing in ------------------------------------------------------------------------------------------------------


def login_path(request: Request) -> str:
    """Where somebody without a token is sent, to come back afterwards."""
    if request.method != "GET":
        return "/login"
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/login?next={url_quote(wanted)}"


def own_path(path: str) -> str:
    """A path of this server; the first page in place of anything else."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


@router.get("/login")
def login(request: Request, server: Server, next: str = "/") -> Response:
    """Where a token is given."""
    return page(request, server, "login.html", next=own_path(next), wrong=False)


@router.post("/login")
def sign_in(
    request: Request, server: Server, token: Annotated[str, Form(max_length=500)], next: Annotated[str, Form()] = "/"
) -> Response:
    """Exchange a token for a session."""
    known = server.access.token(token.strip())
    if known is None:
        return page(request, server, "login.html", 401, next=own_path(next), wrong=True)
    response = RedirectResponse(own_path(next), status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, server.access.begin(known), max_age=int(SESSION_S), httponly=True, samesite="strict", secure=secure
    )
    return response


@router.post("/logout")
def sign_out(request: Request, server: Server) -> Response:
    """End the session."""
    server.access.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(COOKIE)
    return response
