"""Commands and the options that each of them takes, before or after its name.

A command is a function ``(session, its own parameters) -> Result``; :func:`command` puts it into a group and adds the
options that all commands share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import salus
from salus.cli.session import Given, Result, Session

_SHARED: Final[dict[str, Any]] = {
    "home": Annotated[
        Path | None,
        typer.Option(
            "--home", metavar="DIR", show_default=False,
            help="Directory of the embedded network (SALUS_HOME).",
        ),
    ],
    "party": Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PARTY", show_default=False,
            help="Who acts: a name, or a directory such as patient-alice (SALUS_AS).",
        ),
    ],
    "passphrase_file": Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file", metavar="FILE", show_default=False,
            help="Its first line opens the wallet (else SALUS_PASSPHRASE, else you are asked).",
        ),
    ],
    "as_json": Annotated[
        bool, typer.Option("--json", show_default=False, help="Print one JSON object.")
    ],
    "verbose": Annotated[
        bool, typer.Option("--verbose", show_default=False, help="Log on stderr what happens.")
    ],
    # settings that are for debugging (docs/reference/configuration.md); left out of the help of forty commands
    "log_level": Annotated[str | None, typer.Option("--log-level", hidden=True)],
    "log_format": Annotated[str | None, typer.Option("--log-format", hidden=True)],
    # settings of a network that belong into its configuration file
    "keep_days": Annotated[str | None, typer.Option("--keep-days", hidden=True)],
    "archives": Annotated[str | None, typer.Option("--archives", hidden=True)],
}  # fmt: skip


def group(name: str, help: str) -> typer.Typer:
    """A group of commands; it takes the shared options too."""
    made = typer.Typer(
        name=name,
        help=help,
        short_help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    def shared(context: typer.Context, **values: Any) -> None:
        values.pop("version", None)
        context.obj = _given(context, values)

    own = [inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, annotation=_VERSION, default=False)]
    made.callback()(_with_parameters(shared, [_context(), *(own if name == "salus" else [])]))
    return made


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"salus {salus.__version__}")
        raise typer.Exit


_VERSION: Final[Any] = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, show_default=False, help="Show the version and exit.")
]


def command(
    app: typer.Typer, name: str, example: str | tuple[str, ...]
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Add a command to a group.

    :param example: command lines to show below the help, without the leading ``salus``.
    """

    def add(function: Callable[..., Result]) -> Callable[..., Result]:
        own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.name != "session"]

        def run(context: typer.Context, **values: Any) -> int:
            arguments = {p.name: values.pop(p.name) for p in own}
            session = Session(_given(context, values))
            try:
                return session.carry_out(lambda: function(session, **arguments))
            except typer.BadParameter as error:
                error.ctx = error.ctx or context  # its message names the command
                raise

        run.__doc__ = function.__doc__
        examples = [example] if isinstance(example, str) else example
        epilog = "\n\n".join(f"Example: salus {line}" for line in examples)
        app.command(name, epilog=epilog, short_help=_sentence(function), no_args_is_help=False)(
            _with_parameters(run, [_context(), *own])
        )
        return function

    return add


def _sentence(function: Callable[..., Any]) -> str:
    """What a list of commands says of one: its first sentence, whole; Typer cuts at the width of a line."""
    first, _, _ = " ".join((inspect.getdoc(function) or "").split()).partition(". ")
    return first.rstrip(".") + "."


def _context() -> inspect.Parameter:
    return inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _with_parameters(function: Callable[..., Any], own: list[inspect.Parameter]) -> Callable[..., Any]:
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=False if name in _FLAGS else None)
        for name, annotation in _SHARED.items()
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function


_FLAGS: Final = ("as_json", "verbose")


def _given(context: typer.Context, values: dict[str, Any]) -> Given:
    """Shared options of this level over those of the levels above."""
    above = context.parent.obj if context.parent is not None and context.parent.obj is not None else Given()
    return above.over(Given(**values))
