"""What the API answers, for its OpenAPI description. Lengths in drawing units unless the name says mm."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

Item = TypeVar("Item")


class ProblemDocument(BaseModel):
    """An error, after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    total: int = Field(description="of the whole list; of a search at most 10000")
    complete: bool = Field(True, description="false: there are more than `total`")
    limit: int
    offset: int
    next: str | None = Field(None, description="path of the next part")


class Drawing(BaseModel):
    """A drawing of the archive, in lists."""

    id: str
    path: str = Field(description="relative to the folder that was indexed")
    folder: str = Field(description="name of that folder")
    status: str
    entities: int | None
    width: float | None
    height: float | None
    unit_mm: float | None = Field(description="millimetres per drawing unit; null: the file does not tell")
    layers: list[str]
    modified: datetime | None
    meta: dict[str, str] = Field(description="what imported tables say of it")


class DrawingFacts(BaseModel):
    """All that is known of a drawing of the archive; the columns that filters can name."""

    id: str
    path: str
    folder: str
    hash: str | None
    bytes: int | None
    modified: datetime | None
    indexed: datetime | None
    status: str
    message: str
    format: str | None
    version: str | None
    reader: str | None
    space: str | None
    unit_mm: float | None
    width: float | None
    height: float | None
    width_mm: float | None
    height_mm: float | None
    entities: int | None
    classes: dict[str, int]
    layer: list[str]
    block: list[str]
    text: list[str]
    field: list[str]
    problem: list[str]
    ignored: list[str]
    dimension: list[float]
    turn: float | None = Field(description="degrees by which its lines are turned out of the level")
    meta: dict[str, str] = Field(description="what imported tables say of it")


class Why(BaseModel):
    """What a score is made of."""

    overall: float = Field(description="cosine of the vectors")
    codes: dict[str, float] = Field(description="cosine by code of the drawing")
    strokes: float | None = Field(description="share of the strokes that lie over each other; null: not looked at")


class Hit(Drawing):
    """A drawing that a search found."""

    rank: int
    score: float
    probability: float | None = Field(
        None, description="that a person calls the two the same part, see docs/scores.md; null: not known"
    )
    match: str = Field("", description="search by text: the text that was found")
    why: Why | None = Field(None, description="search by a drawing: similarity by code")


class Query(BaseModel):
    """The drawing that was searched with."""

    id: str = Field(description="its reference, for more pages, other filters, and comparing")
    name: str
    entities: int | None
    width: float | None
    height: float | None
    unit_mm: float | None
    status: str
    problems: list[str]


class SearchResult(Page[Hit]):
    """Hits, best first."""

    query: Query | None


class Job(BaseModel):
    """Long work in the background."""

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int
    total: int | None
    message: str
    created: datetime
    ended: datetime | None
    result: dict[str, Any]


class IndexRequest(BaseModel):
    """Bring the archive up to date with the folders that were indexed before. Needs the scope `write`."""

    kind: Literal["index"]
    redo: Literal["changed", "failed", "all"] = "changed"
    prune: bool = Field(False, description="forget files that have vanished")


class DuplicatesRequest(BaseModel):
    """Look for groups of duplicates; `GET /duplicates` with the same words has them at once when the job is done."""

    kind: Literal["duplicates"]
    min_score: float = Field(0.95, gt=0, le=1)
    where: str | None = Field(None, max_length=10_000)
    mirror: bool = False
    rotation: bool = False


class PartsRequest(BaseModel):
    """Look for the drawings that contain a detail of a drawing."""

    kind: Literal["parts"]
    query: str = Field(pattern=r"^[\w-]{1,64}$", description="id of a drawing, or of an upload")
    box: tuple[float, float, float, float] | None = Field(
        None, description="x0, y0, x1, y1 in units of the drawing: the detail is what lies in it; null: all of it"
    )
    min_share: float = Field(0.6, gt=0, le=1, description="of the detail's strokes, for a drawing to contain it")
    where: str | None = Field(None, max_length=10_000)
    size: bool = True
    mirror: bool = False
    rotation: bool = False


JobRequest = Annotated[IndexRequest | DuplicatesRequest | PartsRequest, Field(discriminator="kind")]


class Kept(BaseModel):
    """An upload that stays."""

    name: str
    job: Job = Field(description="the job that adds it to the archive")


class MapPoint(BaseModel):
    """A drawing's place on the map."""

    id: str
    path: str
    x: float
    y: float


class MapResult(BaseModel):
    """All drawings with content: alike ones lie near each other."""

    points: list[MapPoint]


class Member(BaseModel):
    """A drawing in a group of duplicates."""

    id: str
    path: str
    folder: str
    pose: str = Field(description="how it lies over the first: empty, mirrored, turned, mirrored and turned")
    exact: int | None = Field(description="number of the exact duplicates in the group that it is one of")
    new: bool = Field(description="joined, or changed, since the group was decided about")
    modified: datetime | None
    bytes: int | None
    entities: int | None
    width: float | None
    height: float | None
    unit_mm: float | None


Decision = Literal["open", "same", "not", "ignore"]


class Group(BaseModel):
    """Drawings that are the same, or nearly."""

    id: str = Field(description="of this set of drawings: another one, another id")
    kind: Literal["exact", "near", "both"]
    score: float = Field(description="the lowest of its pairs")
    verdict: Decision
    earlier: Decision | None = Field(description="what was decided before others joined")
    note: str
    decided: datetime | None = Field(description="when")
    by: str = Field(description="name of the token or user; empty: not known")
    mark: str = Field(description="of the decision; send it back in `seen` when deciding")
    members: list[Member]


class DecisionRequest(BaseModel):
    """A decision about groups."""

    groups: list[str] = Field(min_length=1, max_length=10_000, description="ids")
    verdict: Decision = Field(description="open takes a decision back")
    note: str = Field("", max_length=1000)
    min_score: float = Field(0.95, gt=0, le=1, description="as the groups were asked for")
    where: str | None = Field(None, max_length=10_000, description="as the groups were asked for")
    mirror: bool = Field(False, description="as the groups were asked for")
    rotation: bool = Field(False, description="as the groups were asked for")
    seen: dict[str, str] = Field(
        {}, max_length=10_000, description="group id to its mark: what others have decided since is not overwritten"
    )


class Version(BaseModel):
    """A drawing in a chain of versions."""

    id: str
    path: str
    folder: str
    position: Literal["earlier", "this", "later", "the same"]
    mark: str = Field(description="by which the chain is ordered, as it is written")
    modified: datetime | None
    score: float | None
    confidence: float
    reasons: list[str]


class Step(BaseModel):
    """What changed from a version to the next."""

    a: str
    b: str
    agreement: float | None
    counts: dict[str, int]
    message: str = Field(description="why they were not compared, or notes on how")


class Revisions(BaseModel):
    """The versions of a drawing, oldest first."""

    versions: list[Version]
    ordered_by: str
    notes: list[str]
    steps: list[Step] = Field(description="with changes=true")


class Health(BaseModel):
    """Whether the server can answer."""

    status: Literal["ok"]
    version: str
    encoder: str
    drawings: int
