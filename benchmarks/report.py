"""Results: one measurement, the median of several, a table, JSON."""

import statistics
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table


class Figures(msgspec.Struct, frozen=True):
    """What one repetition of a scenario measured.

    Attributes:
        rate: Operations per second, None where that means nothing.
        p50_ms: Median time of an operation in milliseconds.
        p99_ms: 99th percentile of it.
        cpu_us: Microseconds of CPU that the server spent on one operation.
        kib: KiB of memory of the server for one connection, or at the most, where there is none.
        lag_ms: Longest time in milliseconds that the event loop of the server was blocked.
    """

    rate: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None
    kib: float | None = None
    lag_ms: float | None = None


class Result(msgspec.Struct, frozen=True):
    """A scenario and the medians of its repetitions.

    Attributes:
        scenario: What was done.
        unit: What is counted.
        goal: What a two-core machine should reach, for people.
        median: Field by field.
        repetitions: All of them, in order.
    """

    scenario: str
    unit: str
    goal: str
    median: Figures
    repetitions: list[Figures]


def summarise(scenario: str, unit: str, goal: str, repetitions: Sequence[Figures]) -> Result:
    """The median of each figure, on its own."""

    def median(name: str) -> float | None:
        values = [value for figures in repetitions if (value := getattr(figures, name)) is not None]
        return statistics.median(values) if values else None

    medians = Figures(*(median(name) for name in Figures.__struct_fields__))
    return Result(scenario, unit, goal, medians, list(repetitions))


def show(results: Sequence[Result]) -> None:
    """Print a table."""
    table = Table(title="medians", title_justify="left")
    table.add_column("scenario", no_wrap=True)
    for heading in ("rate", "from, to", "p50 ms", "p99 ms", "CPU µs", "KiB each", "lag ms", "goal"):
        table.add_column(heading, justify="right")
    for result in results:
        figures = result.median
        rates = [item.rate for item in result.repetitions if item.rate is not None]
        spread = f"{min(rates):,.0f}, {max(rates):,.0f}" if rates else ""
        rate = f"{figures.rate:,.0f} {result.unit}" if figures.rate is not None else ""
        table.add_row(
            result.scenario,
            rate,
            spread,
            *(_number(value) for value in (figures.p50_ms, figures.p99_ms)),
            *(_number(value) for value in (figures.cpu_us, figures.kib, figures.lag_ms)),
            result.goal,
        )
    console = Console()
    # A table in a file is read by people too.
    console.width = max(console.width, 0 if console.is_terminal else 140)
    console.print(table)


def as_json(results: Sequence[msgspec.Struct]) -> str:
    """All figures, for programs."""
    return msgspec.json.format(msgspec.json.encode(list(results))).decode()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"
