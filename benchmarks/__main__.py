"""``python -m benchmarks [echo|fanout|idle|runs|emissions …|attacks] [--json]``."""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import Final

from rich.console import Console
from rich.progress import Progress

from benchmarks import attacks, emissions, runs, sockets
from benchmarks.process import pin_generator, raise_file_limit, running
from benchmarks.report import Figures, Result, as_json, show, summarise

NAMES: Final = ("echo", "fanout", "idle", "runs", "emissions", "page")
ATTACKS: Final = "attacks"
_ROOMS: Final = "benchmarks.rooms"


def main() -> int:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", choices=[*NAMES, ATTACKS, []], help="default: all but attacks"
    )
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each one (%(default)s)")
    parser.add_argument("--connections", type=int, default=10_000, help="idle (%(default)s)")
    parser.add_argument("--workers", type=int, default=20, help="in runs (%(default)s)")
    parser.add_argument("--dashboards", type=int, default=0, help="in runs (%(default)s)")
    parser.add_argument(
        "--attack", nargs="+", choices=list(attacks.ATTACKS), default=list(attacks.ATTACKS)
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    files = raise_file_limit()
    pin_generator()
    wanted = options.scenarios or list(NAMES)
    results: list[Result] = []
    effects: list[attacks.Effect] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:

        def repeat(name: str, unit: str, goal: str, once: Callable[[], Figures]) -> None:
            count: Iterable[int] = progress.track(range(options.repeat), description=name)
            results.append(summarise(name, unit, goal, [once() for _ in count]))

        if "echo" in wanted or "fanout" in wanted:
            with running(_ROOMS) as server:
                for name, (unit, goal, measure) in sockets.SCENARIOS.items():
                    if any(word in name.replace("-", "").replace(" ", "") for word in wanted):
                        repeat(
                            name, unit, goal, lambda m=measure: m(server, seconds=options.seconds)
                        )
        if "idle" in wanted:
            connections = min(options.connections, files - 200)

            def idle() -> Figures:
                with running(_ROOMS) as fresh:
                    return sockets.idle(fresh, connections=connections)

            repeat(f"{connections:,} idle, joined", "connects/s", "≤ 10 KiB", idle)
        if "runs" in wanted:
            with runs.gateway() as stage:
                repeat(
                    f"whole runs, {options.workers} workers, {options.dashboards} dashboards",
                    "runs/s",
                    "≥ 250, p99 ≤ 15 ms",
                    lambda: stage.walk(options.workers, options.dashboards, options.seconds),
                )
        if "emissions" in wanted:
            with emissions.stage() as ingesting:
                repeat(
                    f"{emissions.ROWS:,} rows to totals, {emissions.WORKERS} workers beside",
                    "rows/s",
                    "≥ 6,700, ≤ 250 MB, lag ≤ 50 ms",
                    lambda: ingesting.ingest(2 * options.seconds),
                )
        if "page" in wanted:
            _measure_page(repeat, 3 * options.seconds)
        if ATTACKS in wanted:
            with runs.gateway() as stage:
                for name in progress.track(options.attack, description=ATTACKS):
                    effects += attacks.measure(
                        stage, name, seconds=options.seconds, repeat=options.repeat
                    )
    _report(results, effects, as_lines=options.json)
    return 0


def _report(results: list[Result], effects: list[attacks.Effect], *, as_lines: bool) -> None:
    if as_lines:
        sys.stdout.write(as_json([*results, *effects]) + "\n")
        return
    if results:
        show(results)
    if effects:
        attacks.show(effects)


Repeat = Callable[[str, str, str, Callable[[], Figures]], None]


def _measure_page(repeat: Repeat, seconds: float) -> None:
    from benchmarks import page  # needs the browser, which the others do without

    repeat("the first view: paint, figures", "", "≤ 1,000 ms, ≤ 150 KiB", page.first_view)
    name = f"the list of runs, {page.PER_MINUTE:,} runs/min"
    repeat(name, "runs/s", "≤ 18,000 µs: 30 % of a core", lambda: page.live_runs(seconds))


if __name__ == "__main__":
    raise SystemExit(main())
