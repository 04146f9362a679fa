"""``python -m channel_server`` and ``channel-server``: the command line."""

import sys


def main() -> None:
    """Run the command line and exit with its code; see :mod:`handlers.cli.exit_codes`."""
    from channel_server.log import configure
    from handlers.cli.main import main as run

    # Standard output is for results; commands that serve say more than warnings.
    configure("console", level="warning")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
