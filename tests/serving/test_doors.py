"""Nobody gets in without a token, from another site, or by a name that is not ours; and nothing is read that is asked for."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwright.serving.app import ROUTES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ADDRESSES = sorted({path.format(model="churn", version="1", file="app.js") for _, path, _, _ in ROUTES} | {"/nowhere", "/docs"})


@pytest.mark.parametrize("token", ["", "mw_wrong"])
def test_every_address_and_method_asks_for_a_token_but_liveness(server: Any, token: str) -> None:
    found = {(path, method): server.ask(method, path, token=token).status for path in ADDRESSES for method in METHODS}
    free = {("/v2/health/live", "GET"), ("/v2/health/live", "HEAD")}
    assert {key for key, status in found.items() if status != 401} == free
    assert all(found[key] == 200 for key in free)
    assert len(found) > 150


def test_a_token_opens_its_scopes_only_and_two_of_a_name_are_active_until_one_is_revoked(server: Any, rows: Any) -> None:
    home = _home(server)
    first, second = (_token("new", "shop", home=home) for _ in range(2))
    refused = _command("new", "shop", home=home)
    assert (refused.returncode, "two" in refused.stderr or "2 active" in refused.stderr) == (2, True)
    _until(lambda: server.ask("POST", "/predict/churn", rows[0], token=second).status == 200)
    assert server.ask("POST", "/predict/churn", rows[0], token=first).status == 200
    assert server.ask("GET", "/admin/status", token=first).status == 403
    assert server.ask("POST", "/labels/churn", {"id": "a", "label": "Yes"}, token=first).status == 403
    listed = _command("list", home=home).stdout
    assert first not in listed
    assert _command("revoke", listed.split("shop")[0].split()[-1], home=home).returncode == 0
    _until(lambda: server.ask("GET", "/v2", token=first).status == 401)
    assert server.ask("GET", "/v2", token=second).status == 200


def _home(server: Any) -> Path:
    words = server.process.args
    return Path(words[words.index("--home") + 1])


def _command(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelwright.cli.main", "token", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _token(*words: str, home: Path) -> str:
    return _command(*words, home=home).stdout.strip()


def _until(holds: Any) -> None:
    import time

    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_store_holds_no_token(server: Any) -> None:
    home = _home(server)
    held = b"".join(path.read_bytes() for path in home.glob("store.db*"))
    assert server.token.encode() not in held
    assert server.token not in "".join(str(line) for line in server.lines())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1"])
def test_another_host_name_is_refused(server: Any, host: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET /v2 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_a_page_of_another_site_cannot_write(server: Any, rows: Any) -> None:
    assert server.ask("POST", "/predict/churn", rows[0], Origin="http://evil.example").status == 403
    assert server.ask("POST", "/predict/churn", rows[0], Sec_Fetch_Site="cross-site").status == 403
    assert server.ask("POST", "/predict/churn", rows[0], Origin=f"http://127.0.0.1:{server.port}").status == 200


def test_a_browser_logs_in_by_a_cookie_that_writes_only_with_the_word_of_the_page(server: Any, rows: Any) -> None:
    asked = server.ask("GET", "/", token="", Accept="text/html")
    assert (asked.status, b'action="/login"' in asked.body) == (401, True)
    form = "application/x-www-form-urlencoded"
    assert server.ask("POST", "/login", b"token=mw_wrong", token="", Content_Type=form).status == 401
    entered = server.ask("POST", "/login", f"token={server.token}".encode(), token="", Content_Type=form)
    cookie = entered.headers["set-cookie"]
    assert (entered.status, "HttpOnly" in cookie, "SameSite=Strict" in cookie) == (303, True, True)
    cookie = cookie.partition(";")[0]
    page = server.ask("GET", "/", token="", Cookie=cookie)
    assert page.status == 200
    assert b"https://" not in page.body
    assert b"<script>" not in page.body
    assert "script-src 'self'" in page.headers["content-security-policy"]
    word = page.body.partition(b'name="csrf-token" content="')[2].partition(b'"')[0].decode()
    assert server.ask("POST", "/predict/churn", rows[0], token="", Cookie=cookie).status == 403
    assert server.ask("POST", "/predict/churn", rows[0], token="", Cookie=cookie, X_CSRF_Token=word).status == 200
    forged = cookie[:-4] + "0000"
    assert server.ask("GET", "/", token="", Cookie=forged).status == 401


def test_every_answer_has_the_headers_that_keep_browsers_safe(server: Any) -> None:
    for path in ("/", "/openapi.json", "/nowhere", "/metrics", "/static/app.js"):
        headers = server.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def _traversals() -> list[str]:
    dots = ["..", "%2e%2e", "%252e%252e", "..%00", "%c0%ae%c0%ae", "..;", "．．"]
    marks = ["/", "%2f", "%252f", "\\", "%5c", "%255c", "//"]
    ends = ["etc/passwd", "manifest.json", "model.json", "store.db", ".modelwright/store.db"]
    made = [f"{(dot + mark) * depth}{end}" for dot in dots for mark in marks for end in ends for depth in (1, 6)]
    return [*made, "file:///etc/passwd", "/etc/passwd", "C:\\boot.ini", "http://127.0.0.1/", "%00", "~root", "churn%00.json"]


def test_no_address_reaches_a_file(server: Any) -> None:
    strings = _traversals()
    assert len(strings) > 300
    random.Random(0).shuffle(strings)
    for number, text in enumerate(strings):
        place = ("/static/{}", "/v2/models/{}", "/predict/{}", "/{}")[number % 4].format(text)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            words = (
                f"GET {place} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(words.encode())
            answer = _all_of(connection)
        assert answer[9:12] in (b"400", b"404", b"405"), place
        assert b"root:" not in answer
        assert b"format_version" not in answer


def test_long_addresses_and_headers_are_refused(server: Any) -> None:
    assert server.ask("GET", "/v2/models/" + "a" * 5000).status == 414
    assert server.ask("GET", "/v2", X_Long="a" * 17_000).status == 431


def _refused(*words: str, home: Path) -> str:
    command = [sys.executable, "-m", "modelwright.cli.main", "serve", *words, "--home", str(home), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    return done.stderr


def test_an_open_door_is_refused_at_the_start(trained: Path, tmp_path: Path) -> None:
    assert "no token yet" in _refused(f"churn={trained}", "--host", "0.0.0.0", home=tmp_path)
    assert "no token would be needed" in _refused(f"churn={trained}", "--host", "0.0.0.0", "--no-auth", home=tmp_path)


def _all_of(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
