"""The parser of all commands, and the one place where a command's end becomes an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, TextIO

from handlers.cli import exit_codes
from handlers.cli.errors import CommandError
from handlers.cli.output import Output

COMMANDS: Final = (
    "dev",
    "serve",
    "migrate",
    "keys",
    "token",
    "schema",
    "provision",
    "run",
    "runs",
    "workers",
    "pipelines",
    "emissions",
    "replay",
    "doctor",
)
"""Modules of :mod:`handlers.cli`, in the order of ``--help``."""


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the command line, or of only some commands.

    Args:
        commands: The commands that it is to know; only their modules are imported.
    """
    parser = argparse.ArgumentParser(
        prog="channel-server",
        description="A Phoenix-style channel server, and the gateway that workers drive runs by.",
        epilog=exit_codes.epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which release this is")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in commands:
        import_module(f"handlers.cli.{name}").register(subparsers)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib import metadata

        parser.exit(message=f"{metadata.version('channel-server')}\n")


def main(
    arguments: Sequence[str], *, stdout: TextIO | None = None, stderr: TextIO | None = None
) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The command line without the program's name.
        stdout: Where results go, if not to the standard output.
        stderr: Where everything else goes, if not to the standard error.

    Raises:
        SystemExit: From the parser: for ``--help``, and with 2 for a wrong command line.
    """
    out = Output(as_json=False, stdout=stdout, stderr=stderr)
    try:
        # A command starts as fast as what it needs itself is imported.
        named = [name for name in arguments[:1] if name in COMMANDS]
        options = build_parser(named or COMMANDS).parse_args(arguments)
        out = Output(as_json=options.json, stdout=stdout, stderr=stderr)
        code: int = options.run(options, out)
        sys.stdout.flush()
    except CommandError as error:
        out.error(error)
        return error.code
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the rest must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK
    return code
