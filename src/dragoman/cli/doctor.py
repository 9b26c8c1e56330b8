"""`dragoman doctor`: runs the checks against a server with the Messages API or OpenAI's, and reports which features work."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dragoman.cli.http import DEFAULT_URL
from dragoman.cli.usage_error import UsageError
from dragoman.doctor import CHECKS_OF, Api, Check, Client, Outcome, Result, Unreachable, run_checks

_APIS = {api.name: api for api in CHECKS_OF}

_SIGNS = {
    Outcome.PASS: ("pass", "green"),
    Outcome.FAIL: ("FAIL", "bold red"),
    Outcome.SKIP: ("skip", "yellow"),
    Outcome.DEFECT: ("????", "bold magenta"),
}


@click.command(short_help="Check which features of the API a server has.")
@click.argument("url", default=DEFAULT_URL)
@click.option(
    "--api",
    "api_name",
    type=click.Choice(list(_APIS)),
    default="messages",
    show_default=True,
    help="API format to check; chat is chat completions and completions.",
)
@click.option("--key", metavar="KEY", help="API key of the server.")
@click.option("--model", metavar="NAME", help="Model to request; by default the first one that the server lists.")
@click.option(
    "--only", multiple=True, metavar="NAME", help="Run only this check, or the checks of this subject; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(  # noqa: PLR0913 -- one parameter per option
    url: str, *, api_name: str, key: str | None, model: str | None, only: tuple[str, ...], as_json: bool
) -> None:
    """Run an agent's conversation against the server at URL, and report for each feature whether it works.

    URL can be any server with the Anthropic Messages API, or with that of OpenAI, without /v1. The exit status is 1 if a check
    fails.
    """
    api = _APIS[api_name]
    checks = _chosen(CHECKS_OF[api], only)
    show = _quiet if as_json else _Report(Console()).show
    try:
        requested, results = asyncio.run(_run_checks((url, key, model, api), checks, show))
    except Unreachable as unreachable:
        raise UsageError(str(unreachable)) from unreachable
    if as_json:
        click.echo(as_json_report(url, requested, results))
    else:
        Console().print(_summary(url, requested, results))
    sys.exit(any(result.outcome in (Outcome.FAIL, Outcome.DEFECT) for result in results))


def _chosen(checks: Sequence[Check], only: Iterable[str]) -> Sequence[Check]:
    names = set(only)
    if unknown := names - {check.id for check in checks} - {check.subject for check in checks}:
        subjects = ", ".join(repr(name) for name, _ in groupby(checks, key=lambda check: check.subject))
        raise UsageError(f"unknown check: {', '.join(sorted(unknown))}; subjects are {subjects}.")
    return [check for check in checks if not names or names & {check.id, check.subject}]


async def _run_checks(
    server: tuple[str, str | None, str | None, Api], checks: Iterable[Check], show: Callable[[Result], None]
) -> tuple[str, list[Result]]:
    """Run the checks on a server: its URL, key, model and API. Returns the requested model and the results.

    Raises `Unreachable`.
    """
    results = []
    async with Client.connect(*server) as client:
        async for result in run_checks(client, checks):
            show(result)
            results.append(result)
        return client.model, results


def _quiet(_: Result) -> None:
    """Print nothing: the JSON report is printed at the end."""


class _Report:
    """Prints each result as it arrives, under its subject."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._subject = ""

    def show(self, result: Result) -> None:
        check = result.check
        if check.subject != self._subject:
            self._subject = check.subject
            self._console.print(f"\n[bold]{check.subject}[/]")
        row = Table.grid(padding=(0, 1))
        row.add_column(width=4)
        row.add_column(width=21, no_wrap=True)
        row.add_column()
        text = Text(check.title)
        if result.reason:
            text.append(f"\n{result.reason}", _SIGNS[result.outcome][1])
        row.add_row(Text(*_SIGNS[result.outcome]), check.id, text)
        if result.outcome is Outcome.FAIL:
            row.add_row("", "", Text(f"why it matters: {check.why}", "dim"))
        self._console.print(row)


def _summary(url: str, model: str, results: Sequence[Result]) -> Text:
    count = Counter(result.outcome for result in results)
    parts = [f"{count[outcome]} {word}" for outcome, word in _WORDS.items() if count[outcome]]
    seconds = sum(result.seconds for result in results)
    return Text(f"\n{', '.join(parts)}: {model} at {url}, in {seconds:.0f} s", "bold")


_WORDS = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.SKIP: "skipped", Outcome.DEFECT: "broken checks"}


def as_json_report(url: str, model: str, results: Sequence[Result]) -> bytes:
    """The whole report as JSON."""
    count = Counter(str(result.outcome) for result in results)
    checks = [
        {
            "id": result.check.id,
            "subject": result.check.subject,
            "title": result.check.title,
            "why": result.check.why,
            "clauses": result.check.clauses,
            "outcome": result.outcome,
            "reason": result.reason,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    return msgspec.json.encode({"url": url, "model": model, "count": {name: count[name] for name in Outcome}, "checks": checks})
