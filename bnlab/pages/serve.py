"""Runs the server until it is interrupted."""

from __future__ import annotations

import errno
import socket
import tempfile
import webbrowser
from html import escape
from pathlib import Path

from bnlab.errors import BadInput, EnvironmentFault
from bnlab.pages.security import HOST, new_token
from bnlab.pages.server import application
from bnlab.pages.site import Site

BACKLOG = 512
SECONDS_FOR_A_FIRST_PAGE = 2.0


def serve(root: Path, port: int, open_browser: bool) -> None:
    """Serve the pages of a results folder, to this machine, until interrupted. Errors: BadInput, EnvironmentFault."""
    import uvicorn

    token = new_token()
    with listening(port) as taken:
        port = taken.getsockname()[1]
        address = f"http://{HOST}:{port}/?token={token}"
        config = uvicorn.Config(
            application(Site(root, SECONDS_FOR_A_FIRST_PAGE), token, port),
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="error",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        print(f"{root} at {address}  (Ctrl-C ends it)", flush=True)
        with tempfile.TemporaryDirectory(prefix="bnlab-") as folder:
            if open_browser:
                webbrowser.open(_doorway(Path(folder), address).as_uri())
            uvicorn.Server(config).run(sockets=[taken])


def listening(port: int) -> socket.socket:
    """A socket on the loopback address only. Errors: BadInput, EnvironmentFault."""
    if not 0 <= port <= 65535:
        raise BadInput(f"--port {port}: must be from 1 to 65535, or 0 for any that is free")
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise EnvironmentFault(
            f"port {port} {why}; name another with --port, or take a free one with --port 0"
        ) from error
    return made


def _doorway(folder: Path, address: str) -> Path:
    """A page of the user's own that leads to the address: among a browser's words any user could read the token."""
    page = folder / "bnlab.html"
    page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(address)}">')
    return page
