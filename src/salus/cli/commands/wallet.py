"""``salus wallet``: a party's keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from salus.cli.commands.party import NAME, Role, check_subject, make_wallet
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session

APP = group("wallet", "Make, show, back up and restore the wallet of a party.")


@command(APP, "create", "--home clinic wallet create --role patient alice")
def create(
    session: Session,
    name: NAME,
    role: Annotated[Role, typer.Option(help="Whose wallet it is.", show_default=False)],
    display_name: Annotated[str, typer.Option(metavar="TEXT", help="What people read.", show_default=False)] = "",
) -> Result:
    """Make a wallet without enrolling it. The recovery phrase is shown once and kept nowhere: write it down."""
    from salus.network.home import Home
    from salus.terminal.wallet import refuse_existing

    home = Home(session.home)
    home.genesis()
    check_subject(role, name)
    refuse_existing(home.person(role, name))
    passphrase = session.passphrase(f"{role} {name}", new=True)
    with session.network() as network:
        make_wallet(session, network, role, name, display_name, passphrase)
    party = home.person(role, name).name
    enrol = f"salus party enrol --role {role} {name}"
    return Result(
        {"role": role, "name": name, "party": party}, lambda screen: screen.line(f"Made the wallet {party}; enrol it: {enrol}")
    )


@command(APP, "show", "--home clinic --as patient-alice wallet show")
def show_wallet(session: Session) -> Result:
    """Show what a wallet holds, without any secret."""
    with session.person() as actor:
        data = actor.do("show", {})
    return Result(data, lambda screen: screen.facts({name.replace("_", " "): value for name, value in data.items()}))


@command(APP, "backup", "--home clinic --as patient-alice wallet backup alice.backup")
def backup(
    session: Session, file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)]
) -> Result:
    """Write a backup, sealed under the wallet's passphrase and recovery phrase. It never holds one-time keys."""
    with session.person() as actor:
        data = actor.do("backup", {"path": str(file)})
    return Result(data, lambda screen: screen.line(f"Wrote {file}: long-term keys and unused credentials, no one-time keys."))


@command(APP, "remember", "--home clinic --as patient-alice wallet remember")
def remember(session: Session) -> Result:
    """Keep a wallet's passphrase in the desktop's keyring, where commands find it if no other is given."""
    from salus.terminal.wallet_keyring import keep_in_keyring

    with session.person() as actor:  # which shows that the passphrase is right
        keep_in_keyring(actor.directory, session.passphrase(actor.directory.name, directory=actor.directory))
        party = actor.directory.name
    return Result({"party": party, "remembered": True}, lambda screen: screen.line(f"The keyring has the passphrase of {party}."))


@command(APP, "forget", "--home clinic --as patient-alice wallet forget")
def forget(session: Session) -> Result:
    """Remove a wallet's passphrase from the desktop's keyring."""
    from salus.network.home import Home
    from salus.terminal.wallet_keyring import remove_from_keyring

    _, directory = Home(session.home).find_person(session.who())
    remove_from_keyring(directory)
    data = {"party": directory.name, "remembered": False}
    return Result(data, lambda screen: screen.line(f"The keyring does not have the passphrase of {directory.name}."))


@command(
    APP,
    "restore",
    (
        "--home clinic wallet restore --role patient alice alice.backup",
        "--home clinic wallet restore --role patient alice alice.backup --phrase-file words.txt",
    ),
)
def restore(
    session: Session,
    name: NAME,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)],
    role: Annotated[Role, typer.Option(help="Whose wallet it is.", show_default=False)],
    phrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="WORDS", show_default=False, help="File with the recovery phrase; the passphrase given is then a new one."
        ),
    ] = None,
) -> Result:
    """Restore a wallet from a backup, compare it with the ledger, and list what can no longer be opened."""
    from salus.cli.restoring import restore_wallet
    from salus.network.home import Home

    Home(session.home).genesis()
    check_subject(role, name)
    phrase = None if phrase_file is None else _phrase(phrase_file)
    passphrase = session.passphrase(f"{role} {name}", new=phrase is not None)
    with session.network() as network:
        data = restore_wallet(network, role, name, file, passphrase, phrase, session.progress)
    age_h = (time.time() * 1000 - data["made_ms"]) / 3_600_000

    def show(screen: Screen) -> None:
        screen.line(f"Restored {role} {name} from a backup of {day_and_time(data['made_ms'])} ({age_h:,.0f} hours old).")
        screen.line(f"Credentials used since: {data['credentials_used_since']}; unused: {data['credentials_unused']}.")
        rows = [(c["id"], c["doctor"], c["day"], c["sn"]) for c in data["unreadable"]]
        if rows:
            screen.line("Replies to these can no longer be opened; their one-time keys were in no backup:")
            screen.table(("id", "doctor", "day", "slot#"), rows, "none")
        if data["slots_without_key"]:
            screen.line(f"Slots without their key; cancel or decline them: {', '.join(map(str, data['slots_without_key']))}")

    return Result(data, show)


def _phrase(file: Path) -> str:
    from salus.errors import ConfigError
    from salus.files import read_bounded

    try:
        return read_bounded(file, 4096, "the recovery phrase").decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8 text; write the 24 words there") from None
