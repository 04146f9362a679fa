"""Provisioning a file: all or nothing, twice is once, and runs keep what they started with."""

from pathlib import Path

import pytest

from handlers.config import Settings
from handlers.provision import provision_file
from handlers.spec_nodes import SpecError
from schema.projects import Provisioned
from schema.refused import Refused
from schema.repo import Repo, Statement

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo-project.yaml"
COUNT = Statement(
    "test.count",
    "SELECT (SELECT count(*) FROM projects) AS projects, (SELECT count(*) FROM jobs) AS jobs,"
    " (SELECT count(*) FROM snapshots) AS snapshots,"
    " (SELECT count(*) FROM credentials) AS credentials",
)
BODY = Statement("test.body", "SELECT body FROM credentials")


async def provision(repo: Repo, settings: Settings, file: Path) -> Provisioned:
    made = await provision_file(repo, settings, file)
    assert isinstance(made, Provisioned), made
    return made


async def counts(repo: Repo) -> tuple[int, ...]:
    row = await repo.fetchrow(COUNT)
    assert row is not None
    assert not isinstance(row, Refused)
    return tuple(row)


async def test_the_demo_project_is_stored(repo: Repo, app_settings: Settings) -> None:
    made = await provision(repo, app_settings, EXAMPLE)
    (workflow,) = made.workflows
    assert (workflow.changed, set(workflow.jobs)) == (True, {"check", "price", "deliver", "report"})
    assert await counts(repo) == (1, 4, 1, 1)


async def test_credentials_are_encrypted_at_rest(repo: Repo, app_settings: Settings) -> None:
    await provision(repo, app_settings, EXAMPLE)
    row = await repo.fetchrow(BODY)
    assert row is not None
    assert not isinstance(row, Refused)
    assert b"not-so-secret-token" not in row["body"]


async def test_the_same_file_again_changes_nothing(repo: Repo, app_settings: Settings) -> None:
    first = await provision(repo, app_settings, EXAMPLE)
    again = await provision(repo, app_settings, EXAMPLE)
    assert again.id == first.id
    assert (again.workflows[0].changed, again.workflows[0].lock_version) == (
        False,
        first.workflows[0].lock_version,
    )
    assert await counts(repo) == (1, 4, 1, 1)


async def test_a_changed_graph_makes_a_new_snapshot(
    repo: Repo, app_settings: Settings, tmp_path: Path
) -> None:
    first = await provision(repo, app_settings, EXAMPLE)
    changed = tmp_path / "changed.yaml"
    changed.write_text(EXAMPLE.read_text().replace("quantity * 12.5", "quantity * 13"))
    again = await provision(repo, app_settings, changed)
    assert again.workflows[0].changed
    assert again.workflows[0].lock_version == first.workflows[0].lock_version + 1
    assert await counts(repo) == (1, 4, 2, 1)


async def test_a_wrong_file_stores_nothing(
    repo: Repo, app_settings: Settings, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(EXAMPLE.read_text().replace("target_job: report", "target_job: nobody"))
    with pytest.raises(SpecError, match='there is no job "nobody"'):
        await provision_file(repo, app_settings, wrong)
    assert await counts(repo) == (0, 0, 0, 0)


async def test_a_new_credential_without_a_body_is_refused_with_its_field(
    repo: Repo, app_settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "bodiless.yaml"
    text = EXAMPLE.read_text()
    start, end = text.index("    body:\n      user"), text.index("workflows:")
    file.write_text(text[:start] + text[end:])
    refused = await provision_file(repo, app_settings, file)
    assert isinstance(refused, Refused)
    assert refused.errors == {"credentials.shop.body": ["This field can't be blank."]}
    assert await counts(repo) == (0, 0, 0, 0)
