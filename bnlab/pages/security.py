"""Who may ask what: this machine only, with the token, to read; and what every answer tells the browser to refuse."""

from __future__ import annotations

import secrets
import sys
import traceback
from http import HTTPStatus
from urllib.parse import parse_qs

HOST = "127.0.0.1"
METHODS = ("GET", "HEAD")
LONGEST_ADDRESS = 8_192  # of path and query together

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
NO_TOKEN = "Open the address that `bnlab dashboard` printed: it carries the token that this page needs.\n"


def new_token() -> str:
    return secrets.token_urlsafe(24)


class Guard:
    """An ASGI application around another: refuses what is not allowed, and puts the headers on every answer.

    The token comes once in the query (`?token=`) and from then on as a cookie, which no script can read and no other
    site can make a browser send. A fault inside is answered with a number; what went wrong is written to stderr.
    """

    def __init__(self, inner, token: str, port: int) -> None:
        self._inner = inner
        self._token = token
        self._cookie = f"bnlab-{port}"
        self._hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        headers = _Headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal:
            await _answer(send, *refusal)
            return
        began = False

        async def guarded(message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                message = {**message, "headers": [*_kept(message["headers"]), *_always(), *self._set_cookie(scope)]}
            await send(message)

        try:
            await self._inner(scope, receive, guarded)
        except Exception as error:
            number = _report(error)
            if not began:
                await _answer(send, HTTPStatus.INTERNAL_SERVER_ERROR, f"Fault {number}; the terminal says more.\n")

    def _refusal(self, scope, headers: _Headers) -> tuple[HTTPStatus, str] | None:
        if headers.all("host") not in ([host] for host in self._hosts):
            return HTTPStatus.MISDIRECTED_REQUEST, ""
        if scope["method"] not in METHODS:
            return HTTPStatus.METHOD_NOT_ALLOWED, "These pages can only be read.\n"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
            return HTTPStatus.REQUEST_URI_TOO_LONG, "This address is too long.\n"
        if any(origin not in {f"http://{host}" for host in self._hosts} for origin in headers.all("origin")):
            return HTTPStatus.FORBIDDEN, ""
        if self._token_given(scope):
            return None
        if any(site not in ("same-origin", "none") for site in headers.all("sec-fetch-site")):
            return HTTPStatus.FORBIDDEN, "This page does not answer other sites.\n"
        if not any(_same(value, self._token) for value in headers.cookies(self._cookie)):
            return HTTPStatus.UNAUTHORIZED, NO_TOKEN
        return None

    def _token_given(self, scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None).get("token", [])
        return len(given) == 1 and _same(given[0], self._token)

    def _set_cookie(self, scope) -> list[tuple[bytes, bytes]]:
        if not self._token_given(scope):
            return []
        return [(b"set-cookie", f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict".encode())]


class _Headers:
    def __init__(self, scope) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def cookies(self, name: str) -> list[str]:
        parts = [part.strip().partition("=") for line in self.all("cookie") for part in line.split(";")]
        return [value for key, _, value in parts if key == name]


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def _kept(headers) -> list:
    """What the application said, less what is said for it."""
    return [(name, value) for name, value in headers if name.decode("latin-1").lower() not in HEADERS]


def _always() -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in HEADERS.items()]


async def _answer(send, status: HTTPStatus, text: str) -> None:
    body = text.encode()
    said = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        said.append((b"allow", ", ".join(METHODS).encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": [*said, *_always()]})
    await send({"type": "http.response.body", "body": body})


def _report(error: Exception) -> str:
    number = secrets.token_hex(4)
    text = "".join(traceback.format_exception(error))
    print(f"bnlab: fault {number} on a page, please report it:\n{text}", file=sys.stderr, flush=True)
    return number
