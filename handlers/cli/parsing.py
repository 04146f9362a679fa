"""What the parsers of all commands share."""

import argparse
from typing import Any


def add_command(commands: Any, name: str, run: Any, **texts: Any) -> argparse.ArgumentParser:
    """Add a command that also takes ``--json``; ``run`` is called with the options."""
    texts.setdefault("description", texts.get("help"))
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        epilog=texts.pop("epilog", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **texts,
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)
    return parser
