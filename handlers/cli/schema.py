"""``schema``: what programs may rely on, as JSON Schema."""

import argparse
import json
from typing import Any, Final

from handlers import wire_errors
from handlers.cli import exit_codes
from handlers.cli.output import Output
from handlers.cli.parsing import add_command

_SCHEMAS: Final = {"errors": wire_errors.schema}


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(commands, "schema", run, help="print a JSON Schema of the wire")
    parser.add_argument("name", choices=tuple(_SCHEMAS), help="what it describes")


def run(options: argparse.Namespace, out: Output) -> int:
    """Print a schema."""
    out.result(_SCHEMAS[options.name](), schema_text(options.name).rstrip())
    return exit_codes.OK


def schema_text(name: str) -> str:
    """Return a schema as it is kept in the documentation."""
    return json.dumps(_SCHEMAS[name](), indent=2) + "\n"
