"""The command ``serve``: an archive as a web page and an HTTP API."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deepdxf.console import print_json
from deepdxf.errors import DeepDXFError

Arguments = argparse.Namespace
Command = Callable[[str, Callable[[Arguments], int], str], argparse.ArgumentParser]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def serve(arguments: Arguments) -> int:
    """Serve an archive: a web page and an HTTP API."""
    try:
        import uvicorn

        from deepdxf.server.access import new_token
        from deepdxf.server.app import create_app
        from deepdxf.server.settings import Settings
    except ImportError as error:
        raise DeepDXFError(f"serving needs the extra `serve` ({error.name}): pip install 'deepdxf[serve]'") from error

    if arguments.new_token is not None:
        if arguments.tokens is None:
            arguments.fail("--new-token needs --tokens FILE, where it is put")
        token = new_token(arguments.tokens, arguments.new_token, arguments.scopes)
        about = {"name": arguments.new_token, "scopes": arguments.scopes, "token": token}
        if arguments.json:
            return print_json(about)
        print(f"token of {arguments.new_token} ({arguments.scopes}), shown this once:\n{token}")
        return 0
    if arguments.archive is None:
        arguments.fail("name the archive: --archive DIR")
    loopback = is_loopback(arguments.host)
    if not loopback and arguments.tokens is None:
        raise DeepDXFError(
            f"{arguments.host} can be reached from other computers, so tokens are needed: make one with "
            "`deepdxf serve --tokens FILE --new-token NAME` and serve with --tokens FILE"
        )
    settings = Settings(
        archive=arguments.archive,
        tokens=arguments.tokens,
        hosts=LOOPBACK | {arguments.host} if loopback else frozenset(),
        keep=arguments.keep,
        upload_mb=arguments.max_upload,
        work_s=arguments.timeout,
        memory_mb=arguments.memory,
        workers=arguments.workers,
    )
    app = create_app(settings)
    log_requests(arguments.quiet)
    shown = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    if not arguments.quiet:
        print(f"serving {arguments.archive} at http://{shown}:{arguments.port}/ (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,  # ours has no contents
        log_level="critical",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = uvicorn.Server(config)
    with suppress(SystemExit):  # how it says that it could not start
        server.run()
    if not server.started:
        raise DeepDXFError(
            f"port {arguments.port} of {arguments.host} cannot be used; is it taken? name another: --port"
        )
    return 0


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this computer only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def log_requests(quiet: bool) -> None:
    """Let the request log go to standard error."""
    import logging

    logger = logging.getLogger("deepdxf.server")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else logging.INFO)


def add_command(command: Command, positive: Callable[[str], int], positive_number: Callable[[str], float]) -> None:
    """Add ``serve`` to the parser."""
    made = command(
        "serve",
        serve,
        "deepdxf serve --archive my-archive\n"
        "deepdxf serve --tokens tokens.txt --new-token alice --scopes read\n"
        "deepdxf serve --archive my-archive --host 0.0.0.0 --port 8080 --tokens tokens.txt",
    )
    made.add_argument("--archive", metavar="DIR", help="folder or object-storage address of the archive")
    made.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; others than this computer's own need --tokens "
        "(default: %(default)s)", metavar="HOST"
    )  # fmt: skip
    made.add_argument("--port", type=positive, default=8000, metavar="N", help="port (default: %(default)s)")
    made.add_argument(
        "--tokens", type=Path, metavar="FILE", help="file of tokens; without one everybody may do everything"
    )
    made.add_argument("--new-token", metavar="NAME", help="add a token to the file, show it, and end")
    made.add_argument(
        "--scopes",
        choices=("read", "read,write"),
        default="read",
        help="what the new token may do; writing is indexing and deciding (default: %(default)s)",
    )
    made.add_argument("--keep", type=Path, metavar="FOLDER", help="folder for drawings that clients ask to be kept")
    made.add_argument(
        "--max-upload", type=positive, default=32, metavar="MB", help="largest upload (default: %(default)s MB)"
    )
    made.add_argument("--workers", type=positive, default=2, metavar="N", help="processes (default: %(default)s)")
    made.add_argument(
        "--timeout", type=positive_number, default=60.0, metavar="S", help="limit a drawing (default: %(default)g s)"
    )
    made.add_argument(
        "--memory", type=positive, default=2000, metavar="MIB", help="limit a process (default: %(default)s MiB)"
    )
