"""The documentation says what is there."""

import re
from pathlib import Path

import pytest

from handlers.cli.main import build_parser
from handlers.config import settings_table

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


def test_the_page_of_settings_is_the_one_made_from_the_code() -> None:
    assert settings_table().strip() in (ROOT / "docs" / "configuration.md").read_text()


def test_every_command_of_the_readme_exists() -> None:
    table = (ROOT / "README.md").read_text().split("| command | does |")[1].split("\n\n")[0]
    named = set(re.findall(r"`([a-z]+)", table))
    assert named <= set(re.findall(r"[a-z]+", build_parser().format_help()))


def test_every_file_that_a_page_names_exists() -> None:
    for page in PAGES:
        for name in re.findall(
            r"`((?:channel_server|schema|handlers|pipelines|scripts|examples)/[\w/.]+\.\w+)`",
            page.read_text(),
        ):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
