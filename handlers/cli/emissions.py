"""``emissions ingest FILE`` through a server; ``emissions seed DIR`` straight to the database."""

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from handlers.cli import exit_codes
from handlers.cli.api import Api
from handlers.cli.dashboard import server_url
from handlers.cli.database import open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.pipeline_watch import watch
from handlers.config import Settings
from handlers.emissions.service import (
    MODULES,
    InputError,
    SeedReport,
    UnitTotals,
    seed,
    totals,
)
from pipelines import open_pool


def register(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser("emissions", help="ingest files, or seed a folder of them")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    ingest = add_command(
        actions, "ingest", run_ingest, help="upload a CSV file; it is ingested in the background"
    )
    ingest.add_argument("file", metavar="FILE", type=Path)
    names = ", ".join(f"{module.id} {module.alias}" for module in MODULES.values())
    ingest.add_argument("--module", help=f"id or name: {names}")
    ingest.add_argument("--year", type=int, default=datetime.now(UTC).year)
    ingest.add_argument("--target", choices=("data", "factors", "units"), default="data")
    ingest.add_argument("--type", type=int, help="the only data entry type of the rows")
    ingest.add_argument("--unit", help="institutional id of the only unit; rows are added")
    ingest.add_argument("--wait", action="store_true", help="wait until totals are up to date")
    ingest.add_argument("--url", help="address of the server")
    seeding = add_command(
        actions, "seed", run_seed, help="write a folder of files with all that follows, at once"
    )
    seeding.add_argument("folder", metavar="DIR", type=Path)
    seeding.add_argument("--year", type=int, help="default: what seed.json says, or this year")


def run_ingest(options: argparse.Namespace, out: Output) -> int:
    """Upload a file, and wait if that is wanted."""
    return asyncio.run(_ingest(options, load_settings(), out))


async def _ingest(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    try:
        content = await asyncio.to_thread(options.file.read_bytes)
    except OSError as error:
        raise usage(f"{options.file} cannot be read.", why=str(error)) from None
    url = server_url(settings, options.url)
    fields = {
        "target": options.target,
        "module": module_id(options.module, options.target),
        "year": options.year,
        "data_entry_type": options.type,
        "unit": options.unit,
    }
    path = "/api/pipelines/dispatch"
    made = await Api(settings, url).upload(path, options.file.name, content, fields)
    if not options.wait:
        out.result(made, f"pipeline {made['pipeline_id']}")
        return exit_codes.OK
    out.note(f"pipeline {made['pipeline_id']}")
    return await watch(settings, url, made["pipeline_id"], out)


def module_id(text: str | None, target: str) -> int | None:
    """Return the id of a module by id, name or alias; units have none.

    Raises:
        CommandError: It is missing or unknown.
    """
    if target == "units":
        return None
    for module in MODULES.values():
        if text in {str(module.id), module.name, module.alias}:
            return module.id
    names = ", ".join(f"{module.id} {module.alias}" for module in MODULES.values())
    what = "--module is missing." if text is None else f'There is no module "{text}".'
    raise usage(what, hint=f"one of: {names}")


def run_seed(options: argparse.Namespace, out: Output) -> int:
    """Write a folder to the database and print the totals."""
    report, units = asyncio.run(_seed(options, load_settings()))
    if out.as_json:
        out.data({**msgspec.to_builtins(report), "units": msgspec.to_builtins(units)})
        return exit_codes.OK
    for name, message in report.files.items():
        out.note(f"{name:<24} {message}")
    print_totals(out, report.year, units)
    return exit_codes.OK


async def _seed(
    options: argparse.Namespace, settings: Settings
) -> tuple[SeedReport, list[UnitTotals]]:
    async with open_repo(settings):
        pool = await open_pool(settings.database_url, concurrency=1)
    try:
        report = await seed(pool, options.folder, options.year)
        async with pool.acquire() as connection:
            return report, await totals(connection, report.year)
    except InputError as error:
        raise usage(f"{options.folder} was not seeded.", why=str(error)) from None
    finally:
        await pool.close()


def print_totals(out: Output, year: int, units: list[UnitTotals]) -> None:
    """Print the totals of a year: one row per unit, kg CO2e per module and of the report."""
    modules = sorted(MODULES)
    rows = [
        (
            unit.unit,
            unit.name,
            *(_kg((unit.modules.get(str(module)) or {}).get("total")) for module in modules),
            _kg((unit.report or {}).get("total")),
        )
        for unit in units
    ]
    columns = ("unit", "name", *(MODULES[module].alias for module in modules), f"kg CO2e {year}")
    out.table(columns, rows, [msgspec.to_builtins(unit) for unit in units])


def _kg(value: Any) -> str | None:
    return None if value is None else f"{float(value):,.1f}"
