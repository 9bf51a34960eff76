"""Errors as clients get them: problem documents (RFC 9457) from the API, a page with the same words for people."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"

# slug -> (status, title); a problem's type is /problems/SLUG, explained in docs/server.md
PROBLEMS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request is not understood"),
    "bad-filter": (400, "The filter is not understood"),
    "no-token": (401, "A token is needed"),
    "no-scope": (403, "The token does not allow this"),
    "foreign-site": (403, "The request comes from another site"),
    "not-found": (404, "There is no such thing"),
    "unknown-drawing": (404, "There is no such drawing"),
    "wrong-method": (405, "The method is not allowed here"),
    "too-slow-body": (408, "The body took too long to arrive"),
    "conflict": (409, "Something else has happened meanwhile"),
    "decided-meanwhile": (412, "Somebody else has decided meanwhile"),
    "file-gone": (410, "The drawing's file is gone"),
    "too-large": (413, "The file is too large"),
    "wrong-host": (421, "The server is not called by this name"),
    "unreadable": (422, "The drawing cannot be read"),
    "no-detail": (422, "There is too little in the detail"),
    "nothing-drawn": (422, "The drawing has nothing in it"),
    "too-much-work": (422, "The drawing takes too much time or memory"),
    "invalid": (422, "The request is not valid"),
    "internal": (500, "The server has failed"),
    "archive": (503, "The archive cannot be used"),
    "busy": (503, "The server is busy"),
}
RETRY_S = {"busy": 5, "archive": 30}


class Problem(Exception):
    """A request that cannot be answered; ``detail`` is a sentence for the user, without paths of the server."""

    def __init__(self, slug: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.extra = slug, detail, extra
        self.status, self.title = PROBLEMS[slug]

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        headers = {"retry-after": str(RETRY_S[self.slug])} if self.slug in RETRY_S else {}
        return headers | ({"www-authenticate": 'Bearer realm="deepdxf"'} if self.status == 401 else {})

    def document(self, instance: str) -> dict[str, Any]:
        """The problem document; ``instance`` is the number of the request, as the log has it."""
        about = {"type": f"/problems/{self.slug}", "title": self.title, "status": self.status, "detail": self.detail}
        return {**about, "instance": f"urn:request:{instance}", **self.extra}

    def body(self, instance: str) -> bytes:
        """The document as bytes."""
        return json.dumps(self.document(instance), ensure_ascii=False).encode("utf-8", "backslashreplace")


def of_status(status: int) -> Problem:
    """A problem for a status that the framework has raised by itself."""
    slug = {404: "not-found", 405: "wrong-method", 401: "no-token", 403: "no-scope", 413: "too-large"}.get(status)
    if slug is None:
        slug = "bad-request" if status < 500 else "internal"
    detail = {"not-found": "nothing is at this address", "wrong-method": "this address takes other methods"}.get(slug)
    return Problem(slug, detail or HTTPStatus(status).description or PROBLEMS[slug][1])
