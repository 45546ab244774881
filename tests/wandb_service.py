"""A stand-in for the part of the W&B service that runs talk to: it keeps every row it is sent, and can misbehave."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

KEY = "0123456789abcdef0123456789abcdef01234567"  # has the shape of a key, and is none


class Service:
    """`rows[run]` are the lines of its history in the order of their arrival, `made[run]` what it was created with.

    `answer` is `well`, or the status code that every request gets; `most_rows` cuts the connection after so many.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[dict]] = {}
        self.made: dict[str, dict] = {}
        self.files: dict[str, bytes] = {}
        self.requests = 0
        self.answer: str | int = "well"
        self.most_rows: int | None = None
        self.address = ""

    @property
    def total(self) -> int:
        return sum(map(len, self.rows.values()))

    def graphql(self, name: str, given: dict) -> dict:
        entity = {"id": "e", "name": "someone"}
        project = {"id": "p", "name": given.get("project") or "bnlab", "entity": entity}
        if name == "RunResumeStatus":
            return {"model": {**project, "bucket": self._bucket(given["name"])}}
        if name == "UpsertBucket":
            new = given["name"] not in self.made
            self.made.setdefault(given["name"], given)
            lines = len(self.rows.get(given["name"], []))
            bucket = {"id": given["name"], "name": given["name"], "displayName": given.get("displayName") or "-"}
            bucket |= {"description": "", "config": "{}", "sweepName": None, "project": project}
            return {"upsertBucket": {"bucket": bucket | {"historyLineCount": lines}, "inserted": new}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.address}/upload/{file}"} for file in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        return {
            "viewer": {"id": "u", "entity": "someone", "username": "someone", "flags": "{}", "teams": {"edges": []}}
        }

    def _bucket(self, name: str) -> dict | None:
        if name not in self.made:
            return None
        rows = self.rows.get(name, [])
        tail = json.dumps([json.dumps(row) for row in rows[-1:]])
        counts = {"historyLineCount": len(rows), "logLineCount": 0, "eventsLineCount": 0}
        about = {"id": name, "name": name, "displayName": "-", "tags": [], "notes": None, "config": "{}"}
        return (
            about
            | counts
            | {"summaryMetrics": "{}", "historyTail": tail, "eventsTail": "[]", "wandbConfig": '{"t": 1}'}
        )

    def stream(self, run: str, sent: dict) -> bool:
        """Keep the rows at their place; False where the line goes dead after some of them."""
        part = sent.get("files", {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        for number, line in enumerate(part["content"], part["offset"]):
            if self.most_rows is not None and self.total >= self.most_rows:
                return False
            kept = self.rows.setdefault(run, [])
            assert number == len(kept), f"row {number} after {len(kept)}"
            kept.append(json.loads(line))
        return True


@contextmanager
def serving() -> Iterator[Service]:
    """The service on a port of its own, until the block ends."""
    service = Service()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"service": service}))
    server.daemon_threads = True
    service.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def log_message(self, *words: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        service, content = self.service, self._content()
        if service.answer != "well":
            return self._reply(int(service.answer), {"error": "no"})
        if self.path == "/graphql":
            asked = json.loads(content)
            service.requests += 1
            return self._reply(200, {"data": service.graphql(asked.get("operationName"), asked.get("variables", {}))})
        if self.path.endswith("/file_stream") and not service.stream(self.path.split("/")[-2], json.loads(content)):
            return self._reply(503, {"error": "gone"})
        return self._reply(200, {})

    def do_PUT(self) -> None:
        self.service.files[self.path.removeprefix("/upload/")] = self._content()
        self._reply(200, {})

    def do_GET(self) -> None:
        self._reply(404, {})

    def _content(self) -> bytes:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def _reply(self, code: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
