"""``serve``: the server of a deployment."""

import argparse
from typing import Any, Final

import migrations
from handlers.cli import exit_codes
from handlers.cli.database import reach
from handlers.cli.environment import load_settings
from handlers.cli.errors import unavailable, usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.stopping import end, stop_signals
from handlers.config import Settings

_OPTIONS: Final = ("host", "port", "unix_socket", "tls_certificate", "tls_key")
"""Settings that an option of the command overrides."""


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "serve",
        run,
        help="serve workers, dashboards and webhooks",
        description="Serve workers, dashboards and webhooks until SIGTERM or Ctrl-C, which drain: "
        "sockets are closed over some seconds, what is being answered is answered. A second signal "
        "stops it at once.",
        epilog="needs DATABASE_URL, WORKER_SECRET and WORKER_RUNS_PRIVATE_KEY "
        "(`channel-server keys new`);\nthe other settings are in the README",
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument("--unix-socket", metavar="PATH", help="listen on a unix socket instead")
    parser.add_argument("--tls-certificate", metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="private key of the certificate (PEM)")
    parser.add_argument("--migrate", action="store_true", help="apply missing migrations first")


def run(options: argparse.Namespace, out: Output) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    given = {name: getattr(options, name) for name in _OPTIONS}
    overrides = {name: value for name, value in given.items() if value is not None}
    settings = load_settings(**overrides)
    from handlers.cli.loop import run_loop

    run_loop(_serve(settings, out, migrate=options.migrate))
    return exit_codes.OK


async def _serve(settings: Settings, out: Output, *, migrate: bool) -> None:
    from channel_server.log import configure
    from handlers.application import Application

    configure(settings.log_format, level=settings.log_level)
    await _check_tables(settings, migrate=migrate)
    signals = stop_signals()
    application = Application(settings)
    await start(application, settings)
    where = settings.unix_socket or application.endpoint.http_url
    if out.as_json:
        out.data({"listening": where})
    else:
        out.note(f"listening at {where}")
    try:
        await signals.wait()
    finally:
        await end(application, signals)


async def _check_tables(settings: Settings, *, migrate: bool) -> None:
    if migrate:
        await reach(migrations.up, settings.database_url)
        return
    status = await reach(migrations.status, settings.database_url)
    if not status.up_to_date:
        raise unavailable(
            "The database is not migrated.",
            why=f"Pending: {', '.join(status.pending)}.",
            hint="run `channel-server migrate up`, or serve with --migrate",
        )


async def start(application: Any, settings: Settings) -> None:
    """Start an application.

    Raises:
        CommandError: The database cannot be reached, or the port cannot be had.
    """

    async def opened(_url: str) -> None:
        await application.open()

    # The tables were there a moment ago; the database may be gone all the same.
    await reach(opened, settings.database_url)
    try:
        await application.start()
    except OSError as error:
        await application.stop()
        raise usage(
            f"Cannot listen at {settings.unix_socket or f'{settings.host}:{settings.port}'}.",
            why=error.strerror or str(error),
            hint="end what uses the port, or choose another with --port",
        ) from None
