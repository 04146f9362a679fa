"""The dashboard at ``/``: its files, its addresses, and nothing else of this machine."""

import gzip
from pathlib import Path

import pytest

from handlers.http import app as http_app
from handlers.http.conditional import accepts_gzip, matches
from handlers.http.page_files import PageFiles, dashboard_folder
from tests.handlers.conftest import MakeBench
from tests.handlers.http_bench import Web

HTML = {"Accept": "text/html,application/xhtml+xml"}
SCRIPT = "export const answer = 42;\n" * 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dashboard, and secrets around it."""
    root = tmp_path / "dashboard"
    for name, text in {
        "index.html": "<!doctype html><title>page</title>",
        "store/runs.js": SCRIPT,
        "vendor/preact-10.27.2.js": "export {};",
        "vendor/README.txt": "what is in here",
        "tests/runs.test.mjs": "not served",
        ".hidden/key.js": "s3cr3t",
        "key.pem": "s3cr3t",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "secret.js").write_text("s3cr3t")
    (root / "link.js").symlink_to(tmp_path / "secret.js")
    return root


@pytest.fixture
async def web(make_bench: MakeBench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    monkeypatch.setattr(http_app, "dashboard_folder", lambda: folder)
    return Web(await make_bench())


async def test_the_index_is_served_at_the_root_and_at_every_address_of_the_page(web: Web) -> None:
    async with web.nobody(**HTML) as browser:
        for path in ("/", "/runs", "/runs/7d2f", "/pipelines?year=2025", "/health"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                "text/html; charset=utf-8",
            ), path
            assert "<title>page</title>" in answer.text


async def test_programs_and_addresses_of_the_api_never_get_the_page(web: Web) -> None:
    async with web.nobody() as program:
        assert (await program.get("/nowhere")).json()["error"] == "not_found"
    async with web.nobody(**HTML) as browser:
        for path in ("/api/nowhere", "/api", "/i/x", "/none.js", "/runs/x.html"):
            assert (await browser.get(path)).status_code in {401, 404, 405}, path
        assert (await browser.post("/runs")).status_code in {404, 405}


async def test_the_page_may_run_its_own_files_only_and_be_framed_by_nobody(web: Web) -> None:
    async with web.nobody(**HTML) as browser:
        headers = (await browser.get("/")).headers
        script = (await browser.get("/store/runs.js")).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert headers["cross-origin-opener-policy"] == "same-origin"
    # The policy of a page is that of its document; other files may do nothing at all.
    assert script["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    for given in (headers, script):
        assert "unsafe" not in given["content-security-policy"]
        assert "frame-ancestors 'none'" in given["content-security-policy"]
        assert given["x-content-type-options"] == "nosniff"
        assert given["referrer-policy"] == "no-referrer"
    assert script["content-type"] == "text/javascript; charset=utf-8"


async def test_vendored_files_are_kept_for_good_and_others_are_asked_for_again(web: Web) -> None:
    async with web.nobody() as browser:
        vendored = await browser.get("/vendor/preact-10.27.2.js")
        readme = await browser.get("/vendor/README.txt")
        script = await browser.get("/store/runs.js")
        etag = {"If-None-Match": script.headers["etag"]}
        again = await browser.get("/store/runs.js", headers=etag)
    assert vendored.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert readme.headers["cache-control"] == script.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == script.headers["etag"]


async def test_files_are_packed_for_those_who_can_unpack_them(web: Web) -> None:
    async with web.nobody() as browser:
        for accepted, packed in (("gzip, br", True), ("identity", False), ("gzip;q=0", False)):
            async with browser.stream(
                "GET", "/store/runs.js", headers={"Accept-Encoding": accepted}
            ) as answer:
                body = b"".join([part async for part in answer.aiter_raw()])
            assert answer.headers["vary"] == "Accept-Encoding"
            assert ("content-encoding" in answer.headers) is packed
            assert int(answer.headers["content-length"]) == len(body)
            assert (gzip.decompress(body) if packed else body).decode() == SCRIPT


async def test_head_says_what_get_would_send(web: Web) -> None:
    status, body = await web.raw(b"/store/runs.js", "HEAD")
    assert (status, body) == (200, b"")


async def test_a_changed_file_is_served_changed(web: Web, folder: Path) -> None:
    async with web.nobody() as browser:
        before = await browser.get("/store/runs.js")
        (folder / "store/runs.js").write_text("export const answer = 43;")
        after = await browser.get("/store/runs.js")
    assert after.text == "export const answer = 43;"
    assert after.headers["etag"] != before.headers["etag"]


ATTACKS = (
    b"/../secret.js", b"/store/../../secret.js", b"/..%2fsecret.js", b"/%2e%2e/secret.js",
    b"/..\\secret.js", b"/..%5csecret.js", b"//secret.js", b"/./index.html", b"/store//runs.js",
    b"/link.js", b"/key.pem", b"/.hidden/key.js", b"/tests/runs.test.mjs", b"/store/runs.js\x00",
    b"/store/runs.js%00.html", b"/store", b"/store/", b"/index.html/", b"/\xff\xfe.js",
    b"/etc/passwd", b"/" + b"a" * 5000 + b".js", b"/" + b"a/" * 3000 + b"x.js", b"/C:/x.js",
    b"/..;/secret.js", b"/store/%2e%2e%2f%2e%2e%2fsecret.js", b"/con.js",
)  # fmt: skip


async def test_no_path_leads_out_of_the_folder(web: Web) -> None:
    for path in ATTACKS:
        status, body = await web.raw(path)
        assert status in {400, 404, 405}, path
        for secret in (b"s3cr3t", b"root:", b"not served"):
            assert secret not in body, path


def test_without_a_folder_nothing_is_served() -> None:
    assert PageFiles(None).find("index.html") is None


def test_the_dashboard_of_this_clone_is_found() -> None:
    folder = dashboard_folder()
    assert folder is not None
    assert PageFiles(folder).find("index.html") is not None


def test_a_tag_is_compared_weakly_and_in_lists() -> None:
    assert matches('W/"a"', '"a"')
    assert matches('"b", W/"a"', 'W/"a"')
    assert matches("*", 'W/"a"')
    assert not matches('"b"', 'W/"a"')
    assert not matches("", 'W/"a"')


def test_an_encoding_is_accepted_by_name_or_by_star_and_not_with_a_quality_of_nothing() -> None:
    assert accepts_gzip("br, gzip")
    assert accepts_gzip("*")
    assert accepts_gzip("GZIP;q=0.5")
    for refused in ("", "br", "gzip;q=0", "*, gzip;q=0", "gzip;q=nonsense"):
        assert not accepts_gzip(refused), refused
