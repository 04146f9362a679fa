"""Which functions can be handlers, and that none is forgotten."""

import sys
from pathlib import Path
from typing import Any

import pytest
from toy_pipelines import TOY_CHAIN, toy_registry

from pipelines import Chain, Registry
from pipelines.registry import HandlerError, UnknownJobTypeError


async def good(_job: Any, _context: Any, _transaction: Any) -> None: ...


async def two(_job: Any, _context: Any) -> None: ...


async def four(_job: Any, _context: Any, _transaction: Any, _more: Any) -> None: ...


async def four_with_default(
    _job: Any, _context: Any, _transaction: Any, _more: Any = None
) -> None: ...


async def many(*_arguments: Any) -> None: ...


async def needs_keyword(_job: Any, _context: Any, _transaction: Any, *, _more: Any) -> None: ...


def not_async(_job: Any, _context: Any, _transaction: Any) -> None: ...


@pytest.mark.parametrize("handler", [two, four, four_with_default, many, needs_keyword, not_async])
def test_an_unfit_function_is_refused_when_it_is_registered(handler: Any) -> None:
    with pytest.raises(HandlerError, match="handler of job type 'x'"):
        Registry().job_handler("x")(handler)


def test_a_type_is_registered_once_and_has_a_name() -> None:
    registry = Registry()
    registry.job_handler("x")(good)
    with pytest.raises(HandlerError, match="registered already"):
        registry.job_handler("x")(good)
    with pytest.raises(HandlerError, match="needs a name"):
        registry.job_handler("")(good)
    assert registry.get("x") is good
    assert registry.job_types == {"x"}


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownJobTypeError, match="'y'"):
        Registry().get("y")


def test_a_kind_that_was_not_declared_has_a_chain_of_one_phase() -> None:
    assert toy_registry().chain("csv_ingest") == TOY_CHAIN
    assert toy_registry().chain("other") == Chain.single("other")


def test_w18_loading_a_package_imports_every_module_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_handlers"
    (package / "deep").mkdir(parents=True)
    for name in ("__init__", "one", "deep/__init__", "deep/two"):
        (package / f"{name}.py").write_text("LOADED = True\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    names = Registry().load(["some_handlers"])
    assert names == [
        "some_handlers",
        "some_handlers.deep",
        "some_handlers.deep.two",
        "some_handlers.one",
    ]
