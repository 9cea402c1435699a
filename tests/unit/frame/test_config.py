"""Settings: where each can be given, what goes before what, and what is refused with which words."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from salus.config import MAX_CONFIG_BYTES, MAX_PASSPHRASE_BYTES, SETTINGS, Secret, load_settings
from salus.errors import ConfigError

PASSPHRASE = "correct horse battery staple"


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings(environment={"HOME": str(tmp_path)})
    assert settings.home == tmp_path / ".local/share/salus"
    assert (settings.party, settings.passphrase, settings.passphrase_file) == ("", None, None)
    assert (settings.log.level, settings.log.format, settings.network.nodes) == ("warning", "auto", 4)
    assert settings.read_passphrase() is None


def test_options_go_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", '[log]\nlevel = "error"\nformat = "json"\n[network]\nnodes = 10\n')
    environment = {"HOME": str(tmp_path), "SALUS_CONFIG": str(file), "SALUS_LOG_LEVEL": "info", "SALUS_NODES": "7"}
    settings = load_settings({"log.level": "debug", "party": None}, environment)
    assert (settings.log.level, settings.network.nodes, settings.log.format, settings.party) == ("debug", 7, "json", "")


def test_every_setting_can_be_given_in_each_place(tmp_path: Path) -> None:
    values = {
        "home": str(tmp_path / "h"),
        "party": "st-mary/dr-lee",
        "passphrase_file": str(tmp_path / "p"),
        "log.level": "info",
        "log.format": "human",
        "network.nodes": 13,
        "node.keep_days": 90,
        "node.archives": 2,
    }
    assert set(values) == {setting.name for setting in SETTINGS}
    toml = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    by_option = load_settings(values, {})
    by_environment = load_settings({}, {setting.variable: str(values[setting.name]) for setting in SETTINGS})
    by_file = load_settings({}, {}, write(tmp_path / "c.toml", toml))
    assert by_option == by_environment == by_file
    assert by_file.network.nodes == 13
    assert (by_file.node.keep_days, by_file.node.archives) == (90, 2)


def test_the_users_own_file_is_read_if_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "salus").mkdir()
    write(tmp_path / "salus" / "config.toml", 'party = "a/b"\n')
    assert load_settings({}, {"XDG_CONFIG_HOME": str(tmp_path)}).party == "a/b"
    assert load_settings({}, {"XDG_CONFIG_HOME": str(tmp_path / "none")}).party == ""


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    settings = load_settings({}, {}, write(tmp_path / "c.toml", 'home = "net"\npassphrase_file = "secret"\n'))
    assert (settings.home, settings.passphrase_file) == (tmp_path / "net", tmp_path / "secret")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1\n", ["c.toml", "colour"]),
        ("[log]\nlevl = 'info'\n", ["c.toml", "levl"]),
        ("[log]\nlevel = 'loud'\n", ["c.toml", "log.level"]),
        ("[network]\nnodes = 'x'\n", ["c.toml", "network.nodes"]),
        ("[network]\nnodes = 3\n", ["c.toml", "network.nodes", "4"]),
        ("[network]\nnodes = 67\n", ["c.toml", "network.nodes", "64"]),
        ("[node]\nkeep_days = -1\n", ["c.toml", "node.keep_days"]),
        ("[node]\narchives = 65\n", ["c.toml", "node.archives", "64"]),
        ("log = 1\n", ["c.toml", "log"]),
        ("home = 7\n", ["c.toml", "home"]),
        ("home = ''\n", ["c.toml", "home"]),
        ("home\n", ["c.toml", "not TOML", "line 1"]),
        ("passphrase = 'geheim'\n", ["c.toml", "passphrase_file"]),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_place(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_settings({}, {}, write(tmp_path / "c.toml", text))
    for word in words:
        assert word in str(refusal.value)
    assert "geheim" not in str(refusal.value)


def test_files_that_cannot_be_read_or_are_something_else(tmp_path: Path) -> None:
    for path, word in [
        (tmp_path / "none.toml", "No such file"),
        (tmp_path, "directory"),
        (write(tmp_path / "big.toml", "#" * (MAX_CONFIG_BYTES + 1)), "over 65536 bytes"),
    ]:
        with pytest.raises(ConfigError, match=word):
            load_settings({}, {}, path)
    (tmp_path / "latin.toml").write_bytes(b"party = 'm\xfcller'\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_settings({}, {}, tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        ({}, {"SALUS_LOG_LEVEL": "loud"}, "environment variable SALUS_LOG_LEVEL"),
        ({}, {"SALUS_NODES": "four"}, "environment variable SALUS_NODES"),
        ({"network.nodes": 2}, {}, "option --nodes"),
        ({"network.nodes": 5}, {}, "3f \\+ 1"),
        ({"log.format": "xml"}, {}, "option --log-format"),
        ({"colour": "red"}, {}, "colour"),
        ({"party": "Ada\nAdmin"}, {}, "printable"),
        ({"party": "\x1b[2J"}, {}, "printable"),
        ({"party": "a" * 129}, {}, "128"),
    ],
)
def test_wrong_values_are_refused_with_the_place_they_came_from(
    options: dict[str, Any], environment: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(options, environment)


def test_the_passphrase_comes_from_option_file_or_environment(tmp_path: Path) -> None:
    file = write(tmp_path / "p", PASSPHRASE + "\r\nnot this\n")
    for options, environment in [
        ({"passphrase_file": file}, {}),
        ({}, {"SALUS_PASSPHRASE_FILE": str(file)}),
        ({}, {"SALUS_PASSPHRASE": PASSPHRASE}),
        ({"passphrase_file": file}, {"SALUS_PASSPHRASE": "another"}),
    ]:
        found = load_settings(options, environment).read_passphrase()
        assert found is not None
        assert found.reveal() == PASSPHRASE
    with pytest.raises(ConfigError, match="both set"):
        load_settings({}, {"SALUS_PASSPHRASE": "a", "SALUS_PASSPHRASE_FILE": str(file)})


@pytest.mark.parametrize("content", [b"", b"\nlater\n", b"\xff\xfesecret", b"x" * (MAX_PASSPHRASE_BYTES + 1)])
def test_a_passphrase_file_that_holds_none_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        load_settings({"passphrase_file": tmp_path / "p"}, {}).read_passphrase()
    assert "passphrase file" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    with pytest.raises(ConfigError, match="No such file"):
        load_settings({"passphrase_file": tmp_path / "none"}, {}).read_passphrase()


def test_a_secret_shows_itself_nowhere() -> None:
    settings = load_settings({}, {"SALUS_PASSPHRASE": PASSPHRASE, "HOME": "/nowhere"})
    secret = Secret(PASSPHRASE)
    for shown in (
        repr(settings),
        str(settings),
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        repr([secret]),
    ):
        assert "horse" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
