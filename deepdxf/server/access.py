"""Tokens: who may read and who may write.

A token file has a line for each token: ``NAME SCOPES SHA256``, scopes being ``read`` or ``read,write``; lines that start
with # are comments. It holds hashes, so that it gives no token away; tokens are random (256 bits), so that no slow hash
is needed. Browsers exchange a token for a session, whose random id lies in a cookie that scripts cannot read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepdxf.errors import DeepDXFError

SCOPES = ("read", "write")
COOKIE = "deepdxf"
SESSION_S = 12 * 3600.0
SESSIONS = 1000  # the oldest give way
LINE = re.compile(r"([\w.@-]{1,64})\s+(read|write|read,write|write,read)\s+([0-9a-f]{64})")


@dataclass(frozen=True)
class Token:
    """A token as the server knows it."""

    name: str  # stands in the request log
    scopes: frozenset[str]
    digest: bytes  # SHA-256


ANYONE = Token("-", frozenset(SCOPES), b"")  # who asks where no tokens are in use


def load_tokens(path: Path) -> list[Token]:
    """The tokens of a file.

    Raises:
        DeepDXFError: it cannot be read, a line is not of the form, or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DeepDXFError(f"the tokens file {path} cannot be read: {error}") from error
    tokens = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if found is None:
            raise DeepDXFError(
                f"{path}, line {number}: not of the form NAME SCOPES SHA256; "
                f"make a token with: deepdxf serve --tokens {path} --new-token NAME"
            )
        tokens.append(Token(found[1], frozenset(found[2].split(",")), bytes.fromhex(found[3])))
    if not tokens:
        raise DeepDXFError(f"no token in {path}; make one with: deepdxf serve --tokens {path} --new-token NAME")
    return tokens


def new_token(path: Path, name: str, scopes: str) -> str:
    """Add a token to a file, which is made if it is not there; returns the token, which is told this once.

    Raises:
        DeepDXFError: the name or the scopes are not of the form, or the file cannot be written.
    """
    token = secrets.token_urlsafe(32)
    line = f"{name} {scopes} {hashlib.sha256(token.encode()).hexdigest()}"
    if not LINE.fullmatch(line):
        raise DeepDXFError(
            f"a token named {name!r} with scopes {scopes!r}; name: letters and digits, scopes: read,write"
        )
    try:
        path.touch(mode=0o600, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise DeepDXFError(f"the tokens file {path} cannot be written: {error.strerror or error}") from error
    return token


class Access:
    """Who is who: tokens, and the sessions of browsers."""

    def __init__(self, tokens: list[Token] | None) -> None:
        self._tokens = tokens
        self._sessions: OrderedDict[bytes, tuple[Token, float]] = OrderedDict()

    @property
    def open(self) -> bool:
        """Whether no tokens are in use."""
        return self._tokens is None

    def token(self, text: str) -> Token | None:
        """The token that a text is; every known one is compared, in constant time."""
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        found = None
        for token in self._tokens or ():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def begin(self, token: Token) -> str:
        """A new session; returns what goes into the cookie."""
        secret = secrets.token_urlsafe(32)
        self._sessions[self._key(secret)] = token, time.monotonic() + SESSION_S
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return secret

    def end(self, secret: str) -> None:
        """Forget a session."""
        self._sessions.pop(self._key(secret), None)

    def who(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Token | None:
        """Who asks, by the header or the cookie; None: nobody known."""
        if self._tokens is None:
            return ANYONE
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.token(given.strip())
        # looked up by hash: how long that takes tells nothing of the secret
        token, until = self._sessions.get(self._key(cookies.get(COOKIE, "")), (None, 0.0))
        return token if time.monotonic() < until else None

    @staticmethod
    def _key(secret: str) -> bytes:
        return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
