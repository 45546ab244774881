"""The server of `bnlab dashboard`: pages, their documents, static files and figures, read only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, Router

from bnlab.pages.documents import encode
from bnlab.pages.rendering import page_html, static_files
from bnlab.pages.security import Guard
from bnlab.pages.site import Page, Site, all_pages

if TYPE_CHECKING:
    from starlette.requests import Request

TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
}
NOWHERE = "There is nothing under this address. The menu of the first page, /, shows what there is.\n"
SHOWN = ("svg", "png")  # in a page; the other formats are only saved


def application(site: Site, token: str, port: int) -> Guard:
    """The ASGI application for requests to this port that carry the token."""
    pages = all_pages()
    routes = [Route("/static/{name:path}", _static), Route("/figure/{experiment}/{setting}/{file}", _figure(site))]
    routes += [Route(f"/data{page.address}".rstrip("/"), _document(site, page)) for page in pages]
    routes += [Route(page.address, _page(site, page)) for page in pages]
    router = Router(routes, redirect_slashes=False, default=_nothing)
    return Guard(ExceptionMiddleware(router, {HTTPException: _refused}), token, port)


def _page(site: Site, page: Page):
    def respond(request: Request) -> Response:
        html = page_html(page, request.path_params, _data(site, page, request))
        site.shown.set()
        return HTMLResponse(html)

    return respond


def _document(site: Site, page: Page):
    """The document alone, for a page that is open: nothing is sent again that the browser has."""

    def respond(request: Request) -> Response:
        text = encode(_data(site, page, request)).encode()
        tag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(text, media_type="application/json", headers={"etag": tag})

    return respond


def _data(site: Site, page: Page, request: Request) -> dict:
    site.index.refresh()
    query: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        query.setdefault(key, []).append(value)
    document = page.data(site, request.path_params, query)
    if document is None:
        raise HTTPException(404)
    return document


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    content = static_files().get(name)
    if content is None:
        raise HTTPException(404)
    return Response(content, media_type=TYPES[name.rpartition(".")[2]])


def _figure(site: Site):
    """A figure's file, by the names of the index. `?save` makes the browser save it instead of showing it."""

    def respond(request: Request) -> Response:
        site.index.refresh()
        names = request.path_params
        stem, _, ending = names["file"].rpartition(".")
        setting = site.index.settings.get((names["experiment"], names["setting"]))
        path = setting.figures.get(stem, {}).get(ending) if setting else None
        content = _plain_file(path) if path else None
        if content is None:
            raise HTTPException(404)
        saved = "save" in request.query_params or ending not in SHOWN
        headers = {"content-disposition": "attachment"} if saved else {}
        return Response(content, media_type=TYPES[ending], headers=headers)

    return respond


def _plain_file(path: Path) -> bytes | None:
    """None where it went, or became a link, since it was listed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read()


async def _nothing(scope, receive, send) -> None:
    raise HTTPException(404)


def _refused(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(NOWHERE if error.status_code == 404 else f"{error.detail}\n", error.status_code)
