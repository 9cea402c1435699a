"""One command's session: its settings, passphrases, output, and the network that it opens."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from salus.cli.failures import CommandFailed, one_line, report_error, report_interruption
from salus.cli.main import FAILED, OK
from salus.cli.progress import ProgressDisplay
from salus.cli.screen import Screen
from salus.errors import ConfigError, Refused, SalusError

if TYPE_CHECKING:
    from salus.config import Settings
    from salus.ledger.committed import CommittedBlock
    from salus.network.actors import Actor
    from salus.network.embedded import EmbeddedNetwork

PASSPHRASE_CHARACTERS_MIN: Final = 8
"""Of a new passphrase that is typed; Argon2id makes each guess cost, not impossible."""
DAY_MS: Final = 24 * 3600_000


@dataclass(frozen=True)
class Given:
    """The shared options, as given at one level of the command line."""

    home: Path | None = None
    party: str | None = None
    passphrase_file: Path | None = None
    as_json: bool = False
    verbose: bool = False
    log_level: str | None = None
    log_format: str | None = None
    keep_days: str | None = None
    archives: str | None = None

    def over(self, later: Given) -> Given:
        """These options, replaced by what ``later`` gives."""
        return Given(
            later.home or self.home,
            self.party if later.party is None else later.party,
            later.passphrase_file or self.passphrase_file,
            self.as_json or later.as_json,
            self.verbose or later.verbose,
            later.log_level or self.log_level,
            later.log_format or self.log_format,
            later.keep_days or self.keep_days,
            later.archives or self.archives,
        )


@dataclass(frozen=True)
class Result:
    """What a command gives.

    :ivar data: the JSON object. :ivar show: writes the same for people.
    :ivar failure: (reason, message) if the work was done and its finding is bad: exit status 1.
    """

    data: dict[str, Any]
    show: Callable[[Screen], None]
    failure: tuple[str, str] | None = None


@dataclass
class Session:
    """The surroundings of one command.

    :ivar extra: facts that are printed even if the command fails afterwards.
    """

    given: Given
    progress: ProgressDisplay = field(default_factory=ProgressDisplay)
    extra: dict[str, Any] = field(default_factory=dict)
    _settings: Settings | None = None
    _asked: dict[Path, bytes] = field(default_factory=dict, repr=False)

    def carry_out(self, work: Callable[[], Result]) -> int:
        """Do the command's work and print what it gives; returns the exit status."""
        try:
            self._start_logging()
            with self.progress.shown():
                result = work()
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise SystemExit(report_interruption(self.given.as_json, self.extra)) from None
        except typer.BadParameter:  # options that do not go together: used wrongly
            raise
        except Exception as error:  # noqa: BLE001 - the one place where errors become words and a status
            return report_error(error, self.given.as_json, self.given.verbose, self.extra)
        return self._print(result)

    def _print(self, result: Result) -> int:
        error = {}
        if result.failure is not None:
            reason, message = result.failure
            error = {"error": {"reason": reason, "message": one_line(message)}}
            print(f"salus: {one_line(message)}", file=sys.stderr)
        if self.given.as_json:
            print(json.dumps({**self.extra, **result.data, **error}))
        else:
            result.show(Screen())
        return OK if result.failure is None else FAILED

    def say(self, text: str) -> None:
        """A remark on stderr."""
        self.progress.hide()
        print(one_line(text), file=sys.stderr)

    def keep(self, name: str, value: str, sentence: str) -> None:
        """Show a fact at once, or put it into the JSON object, whatever becomes of the command."""
        self.extra[name] = value
        if not self.given.as_json:
            self.progress.hide()
            Screen().line(sentence)
            sys.stdout.flush()

    # --- settings ---

    @property
    def settings(self) -> Settings:
        """Options, environment and configuration file together.

        :raises ConfigError: naming the one at fault.
        """
        if self._settings is None:
            from salus.config import load_settings

            given = self.given
            options: dict[str, Any] = {"home": given.home, "party": given.party, "passphrase_file": given.passphrase_file}
            options["log.level"] = given.log_level or ("info" if given.verbose else None)
            options["log.format"] = given.log_format
            options["node.keep_days"] = given.keep_days
            options["node.archives"] = given.archives
            self._settings = load_settings(options)
        return self._settings

    def _start_logging(self) -> None:
        from salus.config import LogSettings
        from salus.logging import setup_logging

        log = self.settings.log
        # what went wrong on the way is told by the command's own line, unless somebody asked for more
        setup_logging("error" if log == LogSettings() else log.level, log.format)

    @property
    def home(self) -> Path:
        """The home's directory."""
        return self.settings.home

    def who(self) -> str:
        """Who acts.

        :raises ConfigError: nobody was named.
        """
        if not self.settings.party:
            raise ConfigError(f"say who acts: --as NAME, or SALUS_AS; {self._known()}")
        return self.settings.party

    def _known(self) -> str:
        from salus.network.home import Home

        persons = [path.name for _, path in Home(self.home).persons()] if self.home.is_dir() else []
        return f"parties of {self.home}: {', '.join(persons) or 'none yet'}"

    # --- passphrases ---

    def passphrase(self, whose: str, *, new: bool = False, directory: Path | None = None) -> bytes:
        """The passphrase of a wallet: from a file, the environment, the keyring, or the person at the terminal.

        :param new: it is being chosen: asked for twice. :param directory: of the wallet, for the keyring.
        :raises ConfigError: nobody gave one and nobody can be asked.
        """
        secret = self.settings.read_passphrase()
        if secret is not None:
            return secret.reveal().encode()
        kept = None if directory is None else _from_keyring(directory)
        if kept is None and directory is not None:
            kept = self._asked.get(directory)
        if kept is not None:
            return kept
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigError(
                f"no passphrase for {whose}: give --passphrase-file FILE, set SALUS_PASSPHRASE, or run salus in a terminal"
            )
        typed = self.ask_passphrase(whose, new=new)
        if directory is not None:
            self._asked[directory] = typed
        return typed

    def ask_passphrase(self, whose: str, *, new: bool) -> bytes:
        """Ask at the terminal."""
        from getpass import getpass

        self.progress.hide()
        typed = getpass(f"{'New passphrase' if new else 'Passphrase'} of {one_line(whose)}: ", stream=sys.stderr)
        if new:
            if len(typed) < PASSPHRASE_CHARACTERS_MIN:
                raise ConfigError(f"a passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters; nothing was changed")
            if getpass("Again: ", stream=sys.stderr) != typed:
                raise ConfigError("the two passphrases differ; nothing was changed")
        return typed.encode()

    # --- the network ---

    @contextlib.contextmanager
    def network(self) -> Iterator[EmbeddedNetwork]:
        """The network of the home, open."""
        from salus.network.embedded import EmbeddedNetwork, Keeping

        self.progress.stage("opening the network")
        keeping = Keeping(self.settings.node.keep_days * DAY_MS, self.settings.node.archives)
        with EmbeddedNetwork.open(self.home, keeping=keeping) as network:
            _log_blocks(network)
            self.progress.stage("working")
            yield network

    @contextlib.contextmanager
    def person(self, roles: Sequence[str] = ()) -> Iterator[Actor]:
        """The person who acts, at their terminal; what an interruption left is finished first.

        :param roles: roles that have the command; none: any.
        """
        from salus.network.home import Home

        who = self.who()
        home = Home(self.home)
        home.genesis()
        role, directory = home.find_person(who)
        if roles and role not in roles:
            raise CommandFailed("failed", f"{directory.name} is no {' or '.join(roles)}: name one by --as; {self._known()}")
        passphrase = self.passphrase(directory.name, directory=directory)
        with self.network() as network:
            actor = network.person(directory.name, passphrase, self.progress.in_bytes)
            self._resume(actor)
            yield actor

    def _resume(self, actor: Actor) -> None:
        """Finish what was under way; what cannot be finished now is said, and does not keep other work from being done."""
        resume = getattr(actor, "resume", None)
        if resume is None or not actor.show()["enrolled"]:
            return
        try:
            finished = resume()["finished"]
        except (Refused, SalusError) as error:
            self.say(f"salus: what an earlier command left could not be finished: {error}")
            return
        for done in finished:
            text = done if isinstance(done, str) else done["id"]
            self.say(f"salus: finished what an earlier command left: {text}")


def _from_keyring(directory: Path) -> bytes | None:
    """What the desktop's keyring keeps for a wallet; nothing where there is no keyring, or it does not want to."""
    if importlib.util.find_spec("keyring") is None:
        return None
    from salus.errors import WalletError
    from salus.terminal.wallet_keyring import passphrase_from_keyring

    try:
        return passphrase_from_keyring(directory)
    except WalletError:
        return None


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C inside the block takes effect at its end: for what must be shown once it is made."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt


def _log_blocks(network: EmbeddedNetwork) -> None:
    """Tell, on the level of information, where the nodes stand and every block that they commit."""
    import structlog

    log = structlog.get_logger(__name__)

    def listener(name: str) -> Callable[[CommittedBlock], None]:
        return lambda done: log.info("committed", node=name, height=done.block.height, transactions=len(done.block.transactions))

    for node in network.nodes:
        log.info("node-open", node=node.name, height=node.application.head().height)
        node.application.listen(listener(node.name))
