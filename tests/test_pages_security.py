"""The dashboard answers this machine, with its token, to read; whatever is asked, nothing outside the folder comes."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from page_folders import HOSTILE, put_figure, put_run, put_verdict, rising

pytest.importorskip("starlette", reason="needs the extra `dashboard`")
from starlette.testclient import TestClient

from bnlab.pages import serve as serving
from bnlab.pages.rendering import static_files
from bnlab.pages.security import HEADERS, HOST
from bnlab.pages.server import application
from bnlab.pages.site import Site, all_pages

PORT, TOKEN = 8642, "the-token-of-this-test"
OWN = f"http://{HOST}:{PORT}"
CANARY = "canary-outside-the-results"


@pytest.fixture
def folder(results: Path) -> Path:
    put_run(results, records=rising())
    put_verdict(results, "ics_vgg", "digits-laptop")
    put_figure(results, "ics_vgg", "digits-laptop")
    (results.parent / "secret.txt").write_text(CANARY)
    return results


@pytest.fixture
def app(folder: Path):
    return application(Site(folder), TOKEN, PORT)


@pytest.fixture
def client(app) -> TestClient:
    """With the cookie that the printed address leaves."""
    client = TestClient(app, base_url=OWN, raise_server_exceptions=False)
    assert client.get("/", params={"token": TOKEN}).status_code == 200
    return client


def addresses() -> list[str]:
    """One of every kind that there is."""
    names = {"experiment": "ics_vgg", "setting": "digits-laptop", "variant": "bn", "id": "0badcafe-s0"}
    pages = [re.sub(r"{(\w+)}", lambda found: names[found[1]], page.address) for page in all_pages()]
    data = [f"/data{page}".rstrip("/") for page in pages]
    return [*pages, *data, "/static/app.css", "/static/start.js", "/figure/ics_vgg/digits-laptop/accuracy.png"]


def test_every_kind_of_address_is_answered(client: TestClient) -> None:
    assert {address: client.get(address).status_code for address in addresses()} == dict.fromkeys(addresses(), 200)
    assert all(client.head(address).status_code == 200 and not client.head(address).content for address in addresses())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO"])
def test_only_reading_is_possible(client: TestClient, folder: Path, method: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    override = {"X-HTTP-Method-Override": "GET"}
    assert {client.request(method, address, headers=override).status_code for address in addresses()} == {405}
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_nothing_in_the_folder_changes_by_looking(client: TestClient, folder: Path) -> None:
    look = lambda: {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in [folder, *folder.rglob("*")]}  # noqa: E731
    before = look()
    for address in addresses() * 3:
        client.get(address)
    assert look() == before


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.0.0.1.evil.com",
        "localhost:1",
        "127.0.0.1",
        "",
        "0.0.0.0:8642",
        "[::1]:8642",
        f"a@{HOST}:{PORT}",
    ],
)
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host, "X-Forwarded-Host": f"{HOST}:{PORT}"}, params={"token": TOKEN})
    assert answer.status_code == 421 and answer.content == b""


def test_localhost_is_this_machine_too_and_two_hosts_are_none(client: TestClient) -> None:
    assert client.get("/", headers={"Host": f"localhost:{PORT}"}, params={"token": TOKEN}).status_code == 200
    twice = [("Host", f"{HOST}:{PORT}"), ("Host", "evil.com")]
    assert client.get("/", headers=twice, params={"token": TOKEN}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ]
    + [{"Sec-Fetch-Site": "same-site"}],
)
def test_other_sites_are_refused(client: TestClient, headers: dict) -> None:
    for address in addresses():
        answer = client.get(address, headers=headers)
        assert answer.status_code == 403 and "ics_vgg" not in answer.text
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_own_pages_and_typed_addresses_are_not_other_sites(client: TestClient) -> None:
    for headers in ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert client.get("/data/claims", headers=headers).status_code == 200


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é"])
def test_without_the_token_nothing_is_shown(app, token: str | None) -> None:
    stranger = TestClient(app, base_url=OWN)
    for address in addresses():
        query = {} if token is None else {"token": token}
        cookie = {} if token is None else {"Cookie": f"bnlab-{PORT}={token}".encode("latin-1")}
        for answer in (stranger.get(address, params=query), stranger.get(address, headers=cookie)):
            assert answer.status_code == 401 and "bnlab dashboard" in answer.text and "ics_vgg" not in answer.text
            assert "set-cookie" not in answer.headers


def test_the_cookie_is_for_this_server_alone(app) -> None:
    said = TestClient(app, base_url=OWN).get("/", params={"token": TOKEN}).headers["set-cookie"]
    assert said == f"bnlab-{PORT}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"


def test_the_token_is_in_no_page(client: TestClient) -> None:
    assert not [a for a in addresses() if TOKEN in client.get(a, params={"token": TOKEN}).text]


@pytest.mark.parametrize(
    "address, code", [("/", 200), ("/nothing", 404), ("/static/app.js.map", 404), ("/data/runs", 200)]
)
def test_every_answer_carries_every_header(client: TestClient, app, address: str, code: int) -> None:
    stranger = TestClient(app, base_url=OWN)
    answers = [
        client.get(address),
        stranger.get(address),
        client.post(address),
        client.get(address, headers={"Host": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [code, 401, 405, 421]
    for answer in answers:
        assert {name: answer.headers.get_list(name) for name in HEADERS} == {
            name: [said] for name, said in HEADERS.items()
        }
        assert "server" not in answer.headers


def test_the_policy_allows_no_inline_code() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in HEADERS["content-security-policy"].rstrip(";").split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == rules["style-src"] == "'self'"
    assert "unsafe" not in HEADERS["content-security-policy"]


TRAVERSALS = [
    f"{before}{target}{after}"
    for before in (
        "",
        "../",
        "../../../../",
        "..%2f..%2f",
        "%2e%2e/",
        "%252e%252e%252f",
        "..\\..\\",
        "....//",
        "%c0%ae%c0%ae/",
    )
    for target in (
        "secret.txt",
        "etc/passwd",
        "C:\\windows\\win.ini",
        "\\\\host\\share",
        "file:///etc/passwd",
        "%00secret.txt",
    )
    for after in ("", "%00.png", "?x", ";.png", "/.", ".png", "%23.png")
]


@pytest.mark.parametrize(
    "place", ["/", "/static/", "/figure/ics_vgg/digits-laptop/", "/figure/", "/experiment/", "/run/ics_vgg/", "/data/"]
)
def test_no_word_of_a_request_becomes_a_path(client: TestClient, place: str) -> None:
    assert len(TRAVERSALS) > 350
    for word in TRAVERSALS if place == "/figure/ics_vgg/digits-laptop/" else TRAVERSALS[::5]:
        answer = client.get(place + word)
        assert answer.status_code in (404, 200) and CANARY not in answer.text and "root:" not in answer.text, word
        if place != "/":
            assert answer.status_code == 404, word


def test_links_are_not_served(client: TestClient, folder: Path) -> None:
    figures = folder / "ics_vgg" / "digits-laptop" / "figures"
    (figures / "linked.png").symlink_to(folder.parent / "secret.txt")
    (figures / "accuracy.svg").unlink()
    (figures / "accuracy.svg").symlink_to(folder.parent / "secret.txt")
    time.sleep(0.6)
    for name in ("linked.png", "accuracy.svg"):
        assert client.get(f"/figure/ics_vgg/digits-laptop/{name}").status_code == 404


def test_downloads_are_saved_and_pictures_are_inert(client: TestClient) -> None:
    get = lambda name: client.get(f"/figure/ics_vgg/digits-laptop/{name}")  # noqa: E731
    assert [get(f"accuracy.{e}").headers.get("content-disposition") for e in ("png", "svg")] == [None, None]
    assert [get(f"accuracy.{e}").headers["content-disposition"] for e in ("pdf", "csv", "svg?save")] == [
        "attachment"
    ] * 3
    assert "script-src 'self'" in get("accuracy.svg").headers["content-security-policy"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(results: Path, name: str) -> None:
    safe = name.replace("/", "∕") if name != ".." else "…"
    put_run(results, safe, "digits-laptop", safe, "0badcafe-s0", {safe: safe}, rising(), state="failed", error=name)
    put_verdict(results, safe, "digits-laptop", says=name, source=name, note=name, unit=name, verdict=name)
    put_figure(results, safe, "digits-laptop", safe)
    client = TestClient(application(Site(results), TOKEN, PORT), base_url=OWN)
    client.get("/", params={"token": TOKEN})
    for address in ("/", "/claims", "/runs"):
        page = client.get(address).text
        tags = re.findall(r"<[a-zA-Z!/][^>]*>", page)
        assert not [tag for tag in tags if re.search(r"\son\w+=|javascript:|<img|<svg|<b>", tag)], address
        block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]
        assert not set("<>&\u2028") & set(block)
        assert (
            name in json.dumps(json.loads(block), ensure_ascii=False).replace("\\\\", "\\").replace('\\"', '"')
            or not name.isprintable()
        )


def test_no_page_has_inline_script_or_style_or_reaches_out(client: TestClient) -> None:
    pages = [
        client.get(address).text for address in addresses() if not address.startswith(("/data", "/static", "/figure"))
    ]
    for page in pages:
        scripts = re.findall(r"<script([^>]*)>", page)
        assert all("src=" in said or 'type="application/json"' in said for said in scripts)
        assert not re.search(r"<style|\sstyle=|\son\w+=", re.sub(r'id="data">.*?</script>', "", page, flags=re.S))
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    own = {name: content.decode() for name, content in static_files().items() if not name.startswith("vendor/")}
    assert not [
        name
        for name, text in own.items()
        if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
    ]
    assert not [name for name, text in own.items() if re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)]


@pytest.mark.parametrize("query", ["x" * 10_000, "&".join(f"a{i}=1" for i in range(5000))], ids=["long", "many"])
def test_odd_queries_are_refused_quickly(client: TestClient, query: str) -> None:
    assert client.get(f"/runs?{query}").status_code == 414


@pytest.mark.parametrize(
    "query", ["page=-1&sort=%00", "limit=10000000000", "run=a&run=b/c/d", "metric=%FF", "step=nan"]
)
def test_odd_words_do_no_harm(client: TestClient, query: str) -> None:
    for address in addresses():
        assert client.get(f"{address}?{query}").status_code in (200, 404), address


def test_a_fault_is_a_number_on_the_page_and_said_in_the_terminal(client: TestClient, monkeypatch, capsys) -> None:
    def broken(*arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("bnlab.pages.server._data", broken)
    answer = client.get("/claims")
    number = re.fullmatch(r"Fault ([0-9a-f]{8}); the terminal says more.\n", answer.text)[1]
    assert answer.status_code == 500 and {name: answer.headers[name] for name in HEADERS} == HEADERS
    said = capsys.readouterr().err
    assert number in said and "secret detail" in said
    monkeypatch.undo()
    assert client.get("/claims").status_code == 200


@pytest.fixture
def server(folder: Path, monkeypatch, capsys):
    """`bnlab dashboard` in a thread of this process, on a free port: its printed address."""
    import uvicorn

    started: list[uvicorn.Server] = []
    run = uvicorn.Server.run

    def remembered(self, sockets=None):
        started.append(self)
        self.install_signal_handlers = lambda: None
        return run(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", remembered)
    thread = threading.Thread(target=serving.serve, args=(folder, 0, False), daemon=True)
    thread.start()
    for _ in range(200):
        if started and started[0].started:
            break
        time.sleep(0.05)
    yield re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", capsys.readouterr().out)
    started[0].should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def test_the_server_listens_on_this_machine_only(server) -> None:
    port = int(server[1])
    here = f":{port:04X}"
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]] if Path(table).exists() else []
        listening += [row[1] for row in rows if row[3] == "0A" and row[1].endswith(here)]
    assert listening == [f"0100007F{here}"]


def test_requests_that_are_no_http_do_not_stop_the_server(server) -> None:
    port, token = int(server[1]), server[2]
    host = f"Host: {HOST}:{port}\r\n"
    whole = f"GET /data/claims?token={token} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
    for words in (
        b"\x00" * 100 + b"\r\n\r\n",
        b"GET " + b"/" * 2**20 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * 10**5 + b"\r\n\r\n",
    ):
        _send(port, words)
    absolute = _send(port, whole.replace("GET /", "GET http://evil.com/").encode())
    assert b"200 OK" not in absolute
    idle = [socket.create_connection((HOST, port)) for _ in range(50)]
    for one in idle:
        one.sendall(b"GET / HTTP/1.1\r\n")
    answer = _send(port, whole.encode())
    assert answer.startswith(b"HTTP/1.1 200") and b"S3-15" in answer
    for one in idle:
        one.close()


def _send(port: int, words: bytes) -> bytes:
    with socket.create_connection((HOST, port), timeout=20) as made:
        try:
            made.sendall(words)
            return b"".join(iter(lambda: made.recv(65536), b""))
        except OSError:
            return b""


def test_a_results_folder_of_bytes_that_are_no_text_is_shown(results: Path) -> None:
    odd = os.fsencode(str(results)) + b"/\xff\xfe"
    os.makedirs(odd + b"/digits-laptop/runs/bn/0badcafe-s0")
    client = TestClient(application(Site(results), TOKEN, PORT), base_url=OWN)
    assert "\\xff\\xfe" in json.dumps(client.get("/data/runs", params={"token": TOKEN}).json()["rows"]).replace(
        "\\\\", "\\"
    )
    assert client.get("/", params={"token": TOKEN}).status_code == 200
