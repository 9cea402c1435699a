"""One typed model of everything a user can set, filled from four places.

Each setting is looked up in the options of the command, then in the environment, then in the configuration file, then
in the defaults below. What cannot be right is refused with a :class:`~salus.errors.ConfigError` that says what was
wrong, where it was read, and what to do. The page ``docs/reference/configuration.md`` is made from :data:`SETTINGS`.

Nothing here changes what the replicas agree on: such constants live in the genesis.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec

from salus.errors import ConfigError

MAX_CONFIG_BYTES: Final = 64 * 1024
"""A configuration file has a handful of lines; more is another file by mistake."""
MAX_PASSPHRASE_BYTES: Final = 4096
"""A passphrase is typed by a person or made by a password manager; more is another file by mistake."""

PARTY_CHARACTERS_MAX: Final = 128
"""Longest name of a party; a patient's identity is any printable text."""


class Secret:
    """A text that never shows itself: not in a repr, a log line, an error or a pickle. ``reveal()`` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it where it is used and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged on stderr, and how.

    :ivar level: least level shown.
    :ivar format: ``human`` for a terminal, ``json`` for a collector, ``auto``: human on a terminal, else JSON.
    """

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["auto", "human", "json"] = "auto"


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a new network is made.

    :ivar nodes: replicas that ``salus network init`` creates; n = 3f + 1, at least 4. At most 64: every replica of an
        embedded network lives in one process and answers every other.
    """

    nodes: Annotated[int, msgspec.Meta(ge=4, le=64)] = 4


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the nodes of this home keep.

    :ivar keep_days: bodies of blocks older than this many days of block time are dropped; 0: none are. Not less than the evidence
        window of the network's genesis, which is compared when the network is opened.
    :ivar archives: so many nodes of the home, the first ones, keep everything all the same.
    """

    keep_days: Annotated[int, msgspec.Meta(ge=0, le=3660)] = 0
    archives: Annotated[int, msgspec.Meta(ge=0, le=64)] = 1


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings, checked.

    :ivar home: directory of the embedded network, with one sub-directory for each party.
    :ivar party: who acts: a name as ``institution/local-id``, a patient's identity, or a directory of the home; empty where
        the command needs nobody.
    :ivar passphrase_file: file whose first line opens the wallet; None: the environment or a prompt.
    :ivar passphrase: the passphrase given by the environment itself.
    :ivar log: see :class:`LogSettings`.
    :ivar network: see :class:`NetworkSettings`.
    :ivar node: see :class:`NodeSettings`.
    """

    home: Path
    party: str = ""
    passphrase_file: Path | None = None
    passphrase: Secret | None = None
    log: LogSettings = LogSettings()
    network: NetworkSettings = NetworkSettings()
    node: NodeSettings = NodeSettings()

    def read_passphrase(self) -> Secret | None:
        """The passphrase from its file or the environment; None: nobody gave one, ask the user.

        :raises ConfigError: if the file cannot be read, is empty, too long, or not text.
        """
        if self.passphrase is not None or self.passphrase_file is None:
            return self.passphrase
        return _read_passphrase_file(self.passphrase_file)


class Setting(msgspec.Struct, frozen=True):
    """How one setting is called in each place. ``name`` is its path in the file, ``option`` its long option."""

    name: str
    variable: str
    option: str
    meaning: str


SETTINGS: Final = (
    Setting("home", "SALUS_HOME", "--home", "Directory of the embedded network. Default: `salus` in the user's data directory."),
    Setting(
        "party",
        "SALUS_AS",
        "--as",
        "Who acts: a name as `institution/local-id`, a patient's identity, or a directory as `patient-ada`.",
    ),
    Setting("passphrase_file", "SALUS_PASSPHRASE_FILE", "--passphrase-file", "File whose first line opens the wallet."),
    Setting("log.level", "SALUS_LOG_LEVEL", "--log-level", "Least level logged: `debug`, `info`, `warning`, `error`."),
    Setting("log.format", "SALUS_LOG_FORMAT", "--log-format", "`human`, `json`, or `auto`: human on a terminal, else JSON."),
    Setting("network.nodes", "SALUS_NODES", "--nodes", "Replicas of a new network: 3f + 1, from 4 to 64."),
    Setting(
        "node.keep_days",
        "SALUS_KEEP_DAYS",
        "--keep-days",
        "Days of block time after which a node drops bodies of blocks, not less than the network's evidence window; 0 keeps all.",
    ),
    Setting("node.archives", "SALUS_ARCHIVES", "--archives", "How many nodes of the home keep all of them. Default: 1."),
)
PASSPHRASE_VARIABLE: Final = "SALUS_PASSPHRASE"
"""The passphrase itself, for programs that cannot write a file; never read from a configuration file."""
CONFIG_VARIABLE: Final = "SALUS_CONFIG"
"""Path of the configuration file; default: ``salus/config.toml`` in the user's configuration directory, if it exists."""


def load_settings(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Gather the settings from options, environment, configuration file and defaults, in this order.

    :param options: values by name in :data:`SETTINGS` (``"home"``, ``"log.level"``); None values count as not given.
    :param environment: variables; default: the process's own.
    :param config_file: the file to read; default: ``SALUS_CONFIG``, else the user's own if there is one.
    :raises ConfigError: naming the file, variable or option at fault.
    """
    variables = os.environ if environment is None else environment
    given = {key: value for key, value in (options or {}).items() if value is not None}
    known = {setting.name: setting for setting in SETTINGS}
    for key in given:
        if key not in known:
            raise ConfigError(f"option {key!r} is no setting; known are {', '.join(known)}")

    raw = _read_file(config_file, variables)
    for setting in SETTINGS:
        if variables.get(setting.variable):
            _put(raw, setting.name, variables[setting.variable], f"environment variable {setting.variable}")
    for key, value in given.items():
        _put(raw, key, value, f"option {known[key].option}")

    passphrase = variables.get(PASSPHRASE_VARIABLE) or None
    if passphrase is not None and "passphrase_file" not in given:
        if variables.get("SALUS_PASSPHRASE_FILE"):
            raise ConfigError(f"{PASSPHRASE_VARIABLE} and SALUS_PASSPHRASE_FILE are both set; unset one of them")
        raw.pop("passphrase_file", None)
        raw["passphrase"] = passphrase
    raw.setdefault("home", str(_user_directory(variables, "XDG_DATA_HOME", ".local/share") / "salus"))
    settings = _convert(raw, "settings")
    if (settings.network.nodes - 1) % 3:
        raise ConfigError(f"network.nodes is {settings.network.nodes}; n = 3f + 1 replicas are needed: 4, 7, 10, ..")
    if len(settings.party) > PARTY_CHARACTERS_MAX or not settings.party.isprintable():
        raise ConfigError(
            f"{settings.party[:PARTY_CHARACTERS_MAX]!r} is no party's name; it is like st-mary/dr-lee, or a patient's identity: "
            f"printable text of at most {PARTY_CHARACTERS_MAX} characters"
        )
    return settings


def _read_file(config_file: Path | None, variables: Mapping[str, str]) -> dict[str, Any]:
    path = config_file or (Path(variables[CONFIG_VARIABLE]) if variables.get(CONFIG_VARIABLE) else None)
    if path is None:
        path = _user_directory(variables, "XDG_CONFIG_HOME", ".config") / "salus" / "config.toml"
        if not path.is_file():
            return {}
    data = _read_bounded(path, MAX_CONFIG_BYTES, "configuration file")
    try:
        raw = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise ConfigError(f"configuration file {path} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"configuration file {path} is not TOML: {error}; mend that line") from None
    if "passphrase" in raw:
        raise ConfigError(
            f"configuration file {path} holds a passphrase; write it to a file of its own and name it as passphrase_file"
        )
    _convert({"home": ".", **raw}, f"configuration file {path}")
    for key in ("home", "passphrase_file"):
        if key in raw:
            # A path in the file is relative to the file: the command may run anywhere.
            raw[key] = str(path.parent / Path(raw[key]).expanduser())
    return raw


def _put(raw: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set one dotted key after converting the value on its own, so that an error names the place it came from."""
    section, _, name = key.rpartition(".")
    text = str(value) if isinstance(value, Path) else value
    single = {section: {name: text}} if section else {name: text}
    _convert({"home": ".", **single}, where)
    target = raw.setdefault(section, {}) if section else raw
    target[name] = text


def _convert(raw: Mapping[str, Any], where: str) -> Settings:
    try:
        return msgspec.convert(raw, Settings, strict=False, dec_hook=_decode_hook)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}; docs/reference/configuration.md lists the settings and their values") from None


def _decode_hook(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("Expected a path" if kind is Path else f"Expected {kind.__name__}")


def _user_directory(variables: Mapping[str, str], variable: str, default: str) -> Path:
    if variables.get(variable):
        return Path(variables[variable])
    return Path(variables["HOME"] if variables.get("HOME") else Path.home()) / default


def _read_passphrase_file(path: Path) -> Secret:
    data = _read_bounded(path, MAX_PASSPHRASE_BYTES, "passphrase file")
    try:
        line = data.decode().split("\n", 1)[0].removesuffix("\r")
    except UnicodeDecodeError:
        # "from None": the decoder's own message would show bytes of the passphrase.
        raise ConfigError(f"passphrase file {path} is not UTF-8 text; write the passphrase as its first line") from None
    if not line:
        raise ConfigError(f"passphrase file {path} has an empty first line; write the passphrase there")
    return Secret(line)


def _read_bounded(path: Path, bytes_max: int, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}; check the path and its permissions") from None
    if len(data) > bytes_max:
        raise ConfigError(f"{what} {path} is over {bytes_max} bytes; it is probably another file")
    return data
