"""The API: paths under /api/v1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse

from deepdxf import __version__
from deepdxf.duplicates import DecidedMeanwhile, Group
from deepdxf.encoder import Switches
from deepdxf.metadata import unpack
from deepdxf.parts import Box
from deepdxf.report import plain
from deepdxf.revisions import Version
from deepdxf.server import models
from deepdxf.server.library import Found, Grouping, Upload, is_upload
from deepdxf.server.metrics import Labels
from deepdxf.server.problems import MEDIA_TYPE, PROBLEMS, Problem
from deepdxf.server.requests import (
    MirrorSwitch,
    Part,
    RotationSwitch,
    Server,
    SizeSwitch,
    State,
    is_known,
    needs,
    not_modified,
    part_of,
    pose_of,
    switches_of,
    tag_of,
    uploaded,
)
from deepdxf.server.work import Pose

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.ProblemDocument, "content": {MEDIA_TYPE: {}}, "description": title}
    for status, title in sorted(dict(PROBLEMS.values()).items())
    if status in (400, 401, 403, 404, 410, 413, 422, 503)
}
READ, WRITE = [Depends(needs("read"))], [Depends(needs("write"))]
router = APIRouter(prefix="/api/v1", responses=ERRORS)

Where = Annotated[str | None, Query(max_length=10_000, description="a filter, see docs/filters.md")]
MinScore = Annotated[float | None, Query(ge=-1, le=1, description="the lowest score of a hit")]
Reference = Annotated[str, Query(pattern=r"^[\w-]{1,64}$", description="id of a drawing, or of an upload")]
Id = Annotated[str, Path(pattern=r"^[\w-]{1,64}$", description="id of a drawing, or of an upload")]
PartOf = Annotated[Part, Depends(part_of)]
SwitchesOf = Annotated[Switches, Depends(switches_of)]
PoseOf = Annotated[Pose, Depends(pose_of)]


# --- searching


@router.post("/search", dependencies=READ, tags=["search"])
def search_with_upload(
    request: Request,
    server: Server,
    file: Annotated[UploadFile, File(description="DXF (also binary, .dxf.gz) or DWG")],
    part: PartOf,
    size: Annotated[bool, Form()] = True,
    mirror: Annotated[bool, Form()] = False,
    rotation: Annotated[bool, Form()] = False,
    where: Annotated[str | None, Form(max_length=10_000)] = None,
    min_score: Annotated[float | None, Form(ge=-1, le=1)] = None,
) -> models.SearchResult:
    """The drawings most similar to one that is sent.

    It is read in a process with limits and held in memory for a while, never written to disk: `query.id` names it for
    further pages, other switches and comparing.
    """
    upload = server.library.upload(*uploaded(file))
    found = server.library.search(upload.id, Switches(size, mirror, rotation), where, min_score)
    result = search_result(request, server, found, part)
    if result.next is not None:
        given: dict[str, Any] = {"size": size, "mirror": mirror, "rotation": rotation, "limit": part.limit}
        given |= {"where": where, "min_score": min_score, "query": upload.id, "offset": part.offset + part.limit}
        url = request.url.replace(query="").include_query_params(**{k: v for k, v in given.items() if v is not None})
        result.next = f"{url.path}?{url.query}"
    return result


@router.get("/search", dependencies=READ, tags=["search"])
def search(
    request: Request,
    response: Response,
    server: Server,
    part: PartOf,
    switches: SwitchesOf,
    query: Annotated[str | None, Query(pattern=r"^[\w-]{1,64}$", description="id of a drawing or upload")] = None,
    text: Annotated[str | None, Query(max_length=1000, description="words that the drawing holds")] = None,
    where: Where = None,
    min_score: MinScore = None,
) -> Any:
    """The drawings most similar to one of the archive or to an upload, or that hold some words."""
    tag = tag_of(server.library.archive.version, request.url.path, request.url.query)
    if is_known(request, response, tag):
        return not_modified(tag)
    if (query is None) == (text is None):
        raise Problem("bad-request", "name one of `query` and `text`")
    if query is not None:
        found = server.library.search(query, switches, where, min_score)
    else:
        found = server.library.search_text(text or "", where, min_score)
    return search_result(request, server, found, part)


def search_result(request: Request, server: State, found: Found, part: Part) -> models.SearchResult:
    """A part of what was found, with the facts of the drawings."""
    rows = server.library.catalogue().rows
    hits = [hit for hit in part.of(found.hits) if hit.id in rows]  # one may have been removed meanwhile
    items = [
        models.Hit(
            **brief(server, rows[hit.id]),
            rank=part.offset + rank,
            score=hit.score,
            probability=round(float(found.curve.probability(hit.score)), 3) if found.curve else None,
            match=hit.match,
            why=models.Why(overall=why.overall, codes=dict(why.codes), strokes=hit.overlap) if why else None,
        )
        for rank, (hit, why) in enumerate(zip(hits, server.library.reasons(found, hits), strict=True), 1)
    ]
    total = len(found.hits)
    return models.SearchResult(
        items=items,
        total=total,
        complete=found.complete,
        limit=part.limit,
        offset=part.offset,
        next=part.next(request, total),
        query=query_of(server, found.query) if found.query else None,
    )


def brief(server: State, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the catalogue as lists show it."""
    same = ("id", "path", "status", "entities", "width", "height", "unit_mm", "modified")
    facts = {name: row[name] for name in same}
    return facts | {
        "folder": server.library.folder(row["root"]),
        "layers": list(row["layer"] or ()),
        "meta": unpack(row["meta"]),
    }


def query_of(server: State, reference: str) -> models.Query:
    """The drawing that a search was made with."""
    if is_upload(reference):
        return query_of_upload(server.library.uploads.get(reference))
    row = server.library.row(reference)
    same = ("entities", "width", "height", "unit_mm", "status")
    facts = {name: row[name] for name in same}
    return models.Query(id=reference, name=row["path"], problems=[], **facts)


def query_of_upload(upload: Upload) -> models.Query:
    """An upload that a search was made with."""
    summary = upload.looked.summary
    return models.Query(
        id=upload.id,
        name=upload.source.name,
        entities=summary.entities,
        width=summary.width,
        height=summary.height,
        unit_mm=summary.unit_mm,
        status=summary.status,
        problems=[f"{message} ({count})" for _, message, count in summary.problems],
    )


# --- drawings


@router.get("/drawings", dependencies=READ, tags=["drawings"])
def drawings(request: Request, response: Response, server: Server, part: PartOf, where: Where = None) -> Any:
    """Drawings of the archive, newest file first."""
    tag = tag_of(server.library.archive.version, request.url.path, request.url.query)
    if is_known(request, response, tag):
        return not_modified(tag)
    rows = server.library.browse(where)
    items = [models.Drawing(**brief(server, row)) for row in part.of(rows)]
    following = part.next(request, len(rows))
    return models.Page[models.Drawing](
        items=items, total=len(rows), complete=True, limit=part.limit, offset=part.offset, next=following
    )


@router.post("/drawings", dependencies=WRITE, status_code=202, tags=["drawings"])
def keep_drawing(server: Server, file: Annotated[UploadFile, File()], response: Response) -> models.Kept:
    """Store a drawing in the folder for uploads, if the server was started with one, and index it."""
    name, data = uploaded(file)
    server.library.upload(name, data)  # what cannot be read is not stored
    path = server.library.keep(name, data)
    job = server.jobs.index("changed", prune=False, paths=[path])
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return models.Kept(name=path.name, job=models.Job(**job.document()))


@router.get("/drawings/{id}", dependencies=READ, tags=["drawings"])
def drawing(id: Id, request: Request, response: Response, server: Server) -> Any:
    """All that is known of a drawing."""
    tag = tag_of(server.library.archive.version, id)
    if is_known(request, response, tag):
        return not_modified(tag)
    return models.DrawingFacts(**server.library.facts(id))


@router.get("/drawings/{id}/thumbnail.png", dependencies=READ, tags=["drawings"], response_class=Response)
def thumbnail(id: Id, request: Request, server: Server) -> Response:
    """A picture of 256 × 256 pixels, as it was when the drawing was indexed."""
    response = Response(media_type="image/png")
    tag = tag_of("thumbnail", id, "" if is_upload(id) else server.library.row(id)["hash"])
    if is_known(request, response, tag):
        return not_modified(tag)
    picture = server.library.thumbnail(id)
    if picture is None:
        return Response(status_code=204)
    return Response(picture, media_type="image/png", headers=response.headers)


SVG_POLICY = {"content-security-policy": "default-src 'none'; sandbox"}


@router.get("/drawings/{id}/drawing.svg", dependencies=READ, tags=["drawings"], response_class=Response)
def picture(
    id: Id,
    request: Request,
    server: Server,
    background: Annotated[str, Query(pattern="^#?[0-9a-fA-F]{6}$", description="paper, as rrggbb")] = "ffffff",
    text: Annotated[bool, Query(description="texts as text; false: as bars")] = True,
) -> Response:
    """A picture of a drawing without loss, made from its file."""
    source = server.library.source(id)
    response = Response()
    tag = tag_of("svg", source.key, background, text)
    if is_known(request, response, tag):
        return not_modified(tag)
    svg = server.library.picture(id, background="#" + background.removeprefix("#"), text=text)
    return Response(svg, media_type="image/svg+xml", headers={"etag": tag, **SVG_POLICY})


@router.get("/drawings/{id}/marked.svg", dependencies=READ, tags=["drawings"], response_class=Response)
def marked(
    id: Id,
    request: Request,
    server: Server,
    box: Annotated[list[str], Query(max_length=100, description="x0,y0,x1,y1 in units of the drawing; again for more")],
) -> Response:
    """A picture of a drawing with places in dashed frames, as part search finds them."""
    places = [place for text in box if (place := proper(box_of(text))) is not None]
    response = Response()
    tag = tag_of("marked", server.library.source(id).key, request.url.query)
    if is_known(request, response, tag):
        return not_modified(tag)
    svg = server.library.marked(id, places)
    return Response(svg, media_type="image/svg+xml", headers={"etag": tag, **SVG_POLICY})


def box_of(text: str) -> Box:
    """A box that is written as four numbers with commas. Raises Problem."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise Problem("bad-request", f"a box of {text[:80]!r}; give x0,y0,x1,y1") from None
    return x0, y0, x1, y1


@router.post("/uploads", dependencies=READ, status_code=201, tags=["drawings"])
def hold(
    server: Server, file: Annotated[UploadFile, File(description="DXF (also binary, .dxf.gz) or DWG")]
) -> models.Query:
    """Hold a drawing in memory for a while: its `id` can be searched with, compared, and be the detail of a job."""
    return query_of_upload(server.library.upload(*uploaded(file)))


# --- comparing


@router.get("/compare", dependencies=READ, tags=["compare"])
def compare(a: Reference, b: Reference, pose: PoseOf, request: Request, response: Response, server: Server) -> Any:
    """What differs between drawing a (old) and drawing b (new); see docs/compare.md for the document."""
    tag = tag_of("compare", server.library.source(a).key, server.library.source(b).key, request.url.query)
    if is_known(request, response, tag):
        return not_modified(tag)
    document, _ = server.library.compare(a, b, pose)
    names = {"a": server.library.name(a), "b": server.library.name(b)}
    return JSONResponse(plain({**names, **document}), headers=dict(response.headers))


@router.post("/compare", dependencies=READ, tags=["compare"])
def compare_uploads(
    server: Server,
    a: Annotated[UploadFile, File(description="the old drawing")],
    b: Annotated[UploadFile, File(description="the new drawing")],
    size: Annotated[SizeSwitch, Form()] = True,
    mirror: Annotated[MirrorSwitch, Form()] = False,
    rotation: Annotated[RotationSwitch, Form()] = False,
    tolerance: Annotated[float | None, Form(gt=0, allow_inf_nan=False)] = None,
) -> Any:
    """What differs between two drawings that are sent."""
    one, two = (server.library.upload(*uploaded(file)) for file in (a, b))
    document, _ = server.library.compare(one.id, two.id, Pose(size, mirror, rotation, tolerance))
    names = {"a": one.source.name, "b": two.source.name, "a_id": one.id, "b_id": two.id}
    return JSONResponse(plain({**names, **document}))


@router.get("/compare/overlay.svg", dependencies=READ, tags=["compare"], response_class=Response)
def overlay(a: Reference, b: Reference, pose: PoseOf, server: Server) -> Response:
    """Both drawings over each other."""
    _, svg = server.library.compare(a, b, pose, "svg")
    return Response(svg, media_type="image/svg+xml", headers=SVG_POLICY)


# --- duplicates and revisions

MinPair = Annotated[float, Query(gt=0, le=1, description="every pair of a group is exact or scores at least this")]


@router.get("/duplicates", dependencies=READ, tags=["duplicates"])
def duplicates(
    request: Request,
    server: Server,
    part: PartOf,
    min_score: MinPair = 0.95,
    where: Where = None,
    mirror: MirrorSwitch = False,
    rotation: RotationSwitch = False,
    show: Annotated[Literal["open", "decided", "all"], Query(description="which groups")] = "open",
) -> models.Page[models.Group]:
    """Groups of drawings that are the same, or nearly; the largest first.

    In a large archive that takes a while the first time: a job (`POST /jobs`) does it with progress.
    """
    groups = shown_groups(server, Grouping(min_score, where, mirror, rotation), show)
    items = [group_model(server, group) for group in part.of(groups)]
    following = part.next(request, len(groups))
    return models.Page[models.Group](
        items=items, total=len(groups), complete=True, limit=part.limit, offset=part.offset, next=following
    )


def shown_groups(server: State, asked: Grouping, show: str) -> list[Group]:
    """The groups that are open, decided about, or all."""
    groups = server.library.duplicates(asked).groups
    return [group for group in groups if show == "all" or (group.verdict is None) == (show == "open")]


def group_model(server: State, group: Group) -> models.Group:
    """A group as clients see it."""
    members = []
    for member in group.members:
        about = {name: value for name, value in vars(member).items() if name not in ("root", "keep")}
        members.append(models.Member(**about, folder=server.library.folder(member.root)))
    return models.Group(
        id=group.id,
        kind=group.kind,
        score=group.score,
        verdict=group.verdict or "open",
        earlier=group.earlier,
        note=group.note,
        decided=group.decided,
        by=group.by,
        mark=group.mark,
        members=members,
    )


@router.post("/duplicates/decisions", dependencies=WRITE, tags=["duplicates"])
def decide(wanted: models.DecisionRequest, request: Request, server: Server) -> list[models.Group]:
    """Decide about groups, all of them or none.

    A group that has changed meanwhile is a conflict (409); one that others have decided about since its mark in `seen` was
    read is left as it is (412), and `changed` has such groups as they stand now.
    """
    found = server.library.duplicates(Grouping(wanted.min_score, wanted.where, wanted.mirror, wanted.rotation))
    verdict = None if wanted.verdict == "open" else wanted.verdict
    try:
        decided = server.library.decide(
            found, verdict, wanted.groups, wanted.note, by=name_of(request), seen=wanted.seen
        )
    except DecidedMeanwhile as error:
        changed = [group_model(server, group).model_dump(mode="json") for group in error.groups]
        raise Problem("decided-meanwhile", str(error), changed=changed) from error
    return [group_model(server, group) for group in decided]


def name_of(request: Request) -> str:
    """The name of who asks; empty where no tokens are in use."""
    return str(request.state.who).removeprefix("-")


@router.get("/drawings/{id}/revisions", dependencies=READ, tags=["drawings"])
def revisions(
    id: Id,
    server: Server,
    min_confidence: Annotated[float, Query(ge=0, le=1)] = 0.5,
    changes: Annotated[bool, Query(description="compare each version with the next")] = False,
) -> models.Revisions:
    """The earlier and later versions of a drawing, by name, title block and geometry."""
    chain = server.library.revisions(id, min_confidence)
    versions = [version_model(server, version) for version in chain.versions]
    pairs = pairwise(versions) if changes else ()
    steps = [step(server, one.id, two.id) for one, two in pairs]
    return models.Revisions(versions=versions, ordered_by=chain.ordered_by, notes=list(chain.notes), steps=steps)


def version_model(server: State, version: Version) -> models.Version:
    """A version as clients see it."""
    about = {name: value for name, value in vars(version).items() if name not in ("root", "reasons")}
    reasons = [server.library.public(reason) for reason in version.reasons]
    return models.Version(**about, folder=server.library.folder(version.root), reasons=reasons)


def step(server: State, a: str, b: str) -> models.Step:
    """What changed from a version to the next; what cannot be compared is a step with a message."""
    try:
        document, _ = server.library.compare(a, b, Pose())
    except Problem as problem:
        return models.Step(a=a, b=b, agreement=None, counts={}, message=problem.detail)
    counts, notes = document["counts"], "; ".join(document["notes"])
    return models.Step(a=a, b=b, agreement=document["agreement"], counts=counts, message=notes)


# --- the archive as a whole


@router.get("/map", dependencies=READ, tags=["archive"])
def map(request: Request, response: Response, server: Server) -> Any:
    """The drawings in a plane: the first two principal components of their vectors."""
    tag = tag_of(server.library.archive.version, "map")
    if is_known(request, response, tag):
        return not_modified(tag)
    places, ids = server.library.map()
    rows = server.library.catalogue().rows
    points = [
        {"id": id, "path": rows[id]["path"], "x": round(x, 5), "y": round(y, 5)}
        for id, (x, y) in zip(ids, places.tolist(), strict=True)
        if id in rows
    ]
    return JSONResponse({"points": points}, headers={"etag": tag})


@router.post("/jobs", dependencies=READ, status_code=202, tags=["jobs"])
def start_job(wanted: models.JobRequest, request: Request, server: Server, response: Response) -> models.Job:
    """Begin long work: `index` brings the archive up to date with the folders that were indexed before, `duplicates` looks
    for groups, `parts` for the drawings that contain a detail."""
    if isinstance(wanted, models.IndexRequest):
        needs("write")(request)
        job = server.jobs.index(wanted.redo, wanted.prune)
    elif isinstance(wanted, models.DuplicatesRequest):
        job = server.jobs.duplicates(Grouping(wanted.min_score, wanted.where, wanted.mirror, wanted.rotation))
    else:
        switches = Switches(wanted.size, wanted.mirror, wanted.rotation)
        job = server.jobs.parts(
            server.library.sought(wanted.query, proper(wanted.box), switches, wanted.min_share, wanted.where)
        )
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return models.Job(**job.document())


def proper(box: Box | None) -> Box | None:
    """A box that spans an area. Raises Problem."""
    if box is not None and not (all(math.isfinite(value) for value in box) and box[0] != box[2] and box[1] != box[3]):
        raise Problem(
            "bad-request", "the box spans no area; give x0, y0, x1, y1 of two corners, in units of the drawing"
        )
    return box


@router.get("/jobs", dependencies=READ, tags=["jobs"])
def jobs(request: Request, server: Server, part: PartOf) -> models.Page[models.Job]:
    """Jobs, newest first; those about a detail are seen only by who knows their id."""
    found = server.jobs.public()
    items = [models.Job(**job.document()) for job in part.of(found)]
    following = part.next(request, len(found))
    return models.Page[models.Job](
        items=items, total=len(found), complete=True, limit=part.limit, offset=part.offset, next=following
    )


@router.get("/jobs/{id}", dependencies=READ, tags=["jobs"])
def job(id: Id, server: Server) -> models.Job:
    """A job and how far it is."""
    return models.Job(**server.jobs.get(id).document())


@router.delete("/jobs/{id}", dependencies=READ, status_code=202, tags=["jobs"])
def cancel_job(id: Id, request: Request, server: Server) -> models.Job:
    """Ask a job to stop; what it has done stays."""
    if server.jobs.get(id).writes:
        needs("write")(request)
    return models.Job(**server.jobs.cancel(id).document())


@router.get("/health", tags=["server"])
def health(server: Server) -> models.Health:
    """Whether the server and its archive can answer. Needs no token."""
    count = len(server.library.archive)
    return models.Health(status="ok", version=__version__, encoder=server.library.encoder_shown, drawings=count)


@router.get("/metrics", dependencies=READ, tags=["server"], response_class=PlainTextResponse)
def metrics(server: Server) -> PlainTextResponse:
    """Counts for Prometheus."""
    gauges: dict[tuple[str, Labels], float] = {
        ("deepdxf_work_waiting", ()): server.library.crew.waiting,
        ("deepdxf_uploads_held", ()): len(server.library.uploads),
    }
    for status, count in server.library.catalogue().statuses.items():
        gauges["deepdxf_archive_drawings", (("status", status),)] = count
    states: Sequence[str] = [job.state for job in server.jobs.all()]
    for name in set(states):
        gauges["deepdxf_jobs", (("state", name),)] = states.count(name)
    return PlainTextResponse(server.metrics.text(gauges), media_type="text/plain; version=0.0.4")
