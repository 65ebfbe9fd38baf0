"""`log.key`: each thing that is wrong with it is named with its line, and no PIN is repeated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import commands
from gateway import config, log_wiring
from gateway.errors import ConfigurationError
from gateway.sessionlog import token

REST = """
[[issuers]]
issuer = "https://idp.example.org"
[connections.clinic]
dsn = "env:CLINIC_DSN"
"""
KEY = "pkcs11:token=clinic;object=log?module-path=m.so&pin-source=file:pin"


def written(tmp_path: Path, key: str = KEY) -> Path:
    path = tmp_path / "maskgate.toml"
    path.write_text(f'[log]\nkey = "{key}"\n{REST}')
    return path


def place(path: Path) -> token.Place:
    found = log_wiring.key_place(path, config.load(path))
    assert found is not None
    return found


def test_by_default_the_key_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "maskgate.toml"
    path.write_text(REST)
    assert log_wiring.held_key(path, config.load(path)) is None


@pytest.mark.parametrize(
    "key",
    [
        f"{KEY}&pin-value=SECRETWORD",
        "pkcs11:token=clinic;object=log?module-path=m.so&pin-source=SECRETWORD",
        "SECRETWORD",
    ],
)
def test_a_pin_in_the_configuration_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"maskgate\.toml:2: log\.key: ") as wrong:
        config.load(written(tmp_path, key))
    assert "SECRETWORD" not in wrong.value.detail


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    monkeypatch.delitem(sys.modules, "gateway.sessionlog.token")
    monkeypatch.delattr("gateway.sessionlog.token")
    with pytest.raises(ConfigurationError, match=r":2: .*pip install 'maskgate\[pkcs11\]'"):
        log_wiring.held_key(path, config.load(path))


def test_the_place_is_beside_the_configuration(tmp_path: Path) -> None:
    found = place(written(tmp_path))
    assert found.module == tmp_path / "m.so"
    (tmp_path / "pin").touch(mode=0o600)
    (tmp_path / "pin").write_text("4711\n")
    assert found.pin() == "4711"
    assert "4711" not in repr(found)


def test_a_pin_that_others_may_read_is_refused(tmp_path: Path) -> None:
    found = place(written(tmp_path))
    with pytest.raises(ConfigurationError, match="pin: cannot be read: No such file"):
        found.pin()
    (tmp_path / "pin").write_text("4711")
    for mode in (0o640, 0o604, 0o660):
        (tmp_path / "pin").chmod(mode)
        with pytest.raises(ConfigurationError, match=f"pin: mode is {mode:04o}, expected .* 0600"):
            found.pin()
    (tmp_path / "pin").chmod(0o600)
    assert found.pin() == "4711"
    (tmp_path / "pin").write_text("\n")
    with pytest.raises(ConfigurationError, match="file:pin holds no PIN"):
        found.pin()


def test_a_pin_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = place(written(tmp_path, KEY.replace("file:pin", "env:LOG_PIN")))
    monkeypatch.delenv("LOG_PIN", raising=False)
    with pytest.raises(ConfigurationError, match="variable LOG_PIN is not set"):
        found.pin()
    monkeypatch.setenv("LOG_PIN", "4711")
    assert found.pin() == "4711"


@pytest.mark.parametrize("words", [("ledger", "show"), ("check",), ("serve",), ("keygen", "log")])
def test_a_module_that_is_missing_stops_every_command(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "pin").touch(mode=0o600)
    (tmp_path / "pin").write_text("4711")
    (tmp_path / "log").mkdir()
    path = written(tmp_path)
    path.write_text(f'[state]\nlog = "log"\n{path.read_text()}')
    code, _, said = commands.run(*words, "-c", str(path))
    assert code == 2
    if words != ("serve",):  # which looks at its database first
        assert "maskgate.toml:4: PKCS#11 module" in said and "No such file" in said
    assert not list((tmp_path / "log").iterdir())


def test_no_key_is_made_where_no_token_is_named(tmp_path: Path) -> None:
    path = tmp_path / "maskgate.toml"
    path.write_text(REST)
    code, _, said = commands.run("keygen", "log", "-c", str(path))
    assert code == 2
    assert "log.key names no token" in said


@pytest.mark.parametrize("head", [b"", b"\x04\x20", b"\x03\x21\x00"])
def test_public_keys_as_tokens_tell_them(tmp_path: Path, head: bytes) -> None:
    there, point = place(written(tmp_path)), bytes(range(32))
    assert token._point(there, head + point) == point
    for wrong in (None, point[1:], b"\x04\x21" + point, head + point + b"\0", b"\5" * 34):
        with pytest.raises(ConfigurationError, match="is not 32 bytes"):
            token._point(there, wrong)
