"""Draws what a command printed, for the documentation.

    make demo | python scripts/terminal_picture.py docs/images/demo.svg --title "make demo"

Reads standard input to its end; colours are those of the states that runs and steps are in.
"""

import argparse
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

STYLES = {
    r"\b(success|delivered)\b": "bold green",
    r"\b(failed|fail)\b": "bold red",
    r"\b(JobError: .*)$": "red",
    r"\b(claimed|started)\b": "yellow",
    r"^ +\d+\.\d s": "cyan",
    r"^[0-9a-f]{8}\b": "magenta",
    r"\b(JOB|R/T)\b": "dim",
}


def main() -> None:
    """Read, colour, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--lines", type=int, default=44)
    options = parser.parse_args()
    console = Console(record=True, width=100, file=io.StringIO())
    for line in sys.stdin.read().splitlines()[: options.lines]:
        text = Text(line)
        for pattern, style in STYLES.items():
            text.highlight_regex(pattern, style)
        console.print(text)
    svg = console.export_svg(title=options.title)
    # Readers of a page are not sent to fetch fonts from elsewhere.
    options.file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


if __name__ == "__main__":
    main()
