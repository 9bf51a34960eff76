"""What the API answers, for its OpenAPI description. Lengths in drawing units unless the name says mm."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

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


class Why(BaseModel):
    """What a score is made of."""

    overall: float
    codes: dict[str, float] = Field(description="cosine by code of the drawing")


class Hit(Drawing):
    """A drawing that a search found."""

    rank: int
    score: float
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


class JobRequest(BaseModel):
    """What is to be done."""

    kind: Literal["index"]
    redo: Literal["changed", "failed", "all"] = "changed"
    prune: bool = Field(False, description="forget files that have vanished")


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


class Health(BaseModel):
    """Whether the server can answer."""

    status: Literal["ok"]
    version: str
    encoder: str
    drawings: int
