"""The files of the page as they lie there: what is vendored, what they load, how long they are."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "dashboard"
LONGEST = 300
OWN = [
    path
    for path in sorted(PAGE.rglob("*.js"))
    if not {"vendor", "node_modules"} & set(path.relative_to(PAGE).parts)
]


def vendoring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "scripts/vendor_dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_vendored_file_is_as_locked() -> None:
    assert vendoring().differences() == []


def test_every_vendored_package_comes_with_its_licence() -> None:
    script = vendoring()
    for package in script.WANTED:
        assert (PAGE / "vendor" / script.licence_name(package)).stat().st_size > 500


def test_every_import_is_a_file_of_the_page() -> None:
    imported = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([\w@./-]+)["']""")
    for path in [*OWN, *(PAGE / "vendor").glob("*.js")]:
        code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        for name in imported.findall(code):
            assert name.startswith("."), f"{path} imports {name}"
            assert (path.parent / name).is_file(), f"{path} imports {name}"


def test_the_index_has_nothing_inline_and_loads_nothing_from_elsewhere() -> None:
    index = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", index)
    assert not re.search(r"<script(?![^>]*\ssrc=)", index)
    for name in re.findall(r'(?:src|href)="/([^"]+)"', index):
        assert (PAGE / name).is_file(), name


def test_every_module_of_the_frame_is_asked_for_at_once() -> None:
    index = (PAGE / "index.html").read_text()
    asked = set(re.findall(r'rel="modulepreload" href="/([^"]+)"', index))
    static = re.compile(r"""(?:\bfrom|^import|;import)\s*["'](\.[\w@./-]+)["']""", re.MULTILINE)
    needed: set[Path] = set()
    waiting = [PAGE / "app.js"]
    while waiting:
        path = waiting.pop()
        found = {(path.parent / name).resolve() for name in static.findall(path.read_text())}
        waiting += found - needed
        needed |= found
    assert asked == {str(path.relative_to(PAGE)) for path in needed}


def test_no_module_is_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in OWN}
    assert {path: n for path, n in lengths.items() if n > LONGEST} == {}
