"""[log] and [siem]: each wrong key is named with its value and its line, and no secret is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config, log_wiring
from gateway.errors import ConfigurationError
from gateway.sessionlog import sealing
from gateway.siem import FileSink, HttpSink, StdoutSink
from gateway.sql import Vocabulary

REST = """
[[issuers]]
issuer = "https://idp.example.org"
[connections.clinic]
dsn = "env:CLINIC_DSN"
"""

COPIES = '[log.copies]\nbucket = "audit"\naccess_key = "env:A"\nsecret_key = "file:s"\n'


def load(tmp_path: Path, text: str) -> tuple[Path, config.Configuration]:
    path = tmp_path / "maskgate.toml"
    path.write_text(text + REST)
    return path, config.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[log]\nstatements = "hashed"', r":2: log\.statements = 'hashed'"),
        ('[log]\nstatements = "sealed"', r":2: log\.statements = 'sealed': needs auditor_key"),
        ('[log]\nauditor_key = "a.pem"', r":2: log\.auditor_key = 'a.pem': nothing is sealed"),
        ('[log]\nstatement = "sealed"', r":2: log\.statement.*: there is no such key"),
        (
            '[[log.timestamps]]\nurl = "ftp://t"\nroots = "r"',
            r":2: log\.timestamps\.0\.url: write http",
        ),
        ('[[log.timestamps]]\nurl = "http://t/"', r"log\.timestamps\.0\.roots.*[Ff]ield required"),
        (COPIES + 'prefix = "clinic"', r":5: log\.copies\.prefix = 'clinic'"),
        (COPIES + 'prefix = "../"', r":5: log\.copies\.prefix = '../'"),
        (COPIES + 'endpoint = "http://s3.example"', r":5: log\.copies\.endpoint: http on a loop"),
        (COPIES + "retention_days = 0", r":5: log\.copies\.retention_days = 0"),
        (COPIES + 'mode = "compliance"', r":5: log\.copies\.mode = 'compliance'"),
        ("[siem]\nbehind = 3", r"siem\.target.*[Ff]ield required"),
        ('[siem]\ntarget = "syslog:x"', r':2: siem\.target = .syslog:x.: write "stdout", file:'),
        ('[siem]\ntarget = "http://siem.example/x"', r":2: siem\.target: .*has no TLS"),
        ('[siem]\ntarget = "https://:443/x"', r":2: siem\.target: write"),
        ('[siem]\ntarget = "https://h:99999/x"', r":2: siem\.target: write"),
        ('[siem]\ntarget = "stdout"\nbehind = "0s"', r":3: siem\.behind = '0s'"),
        ('[siem]\ntarget = "stdout"\nurl = "x"', r":3: siem\.url.*: there is no such key"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        '[siem]\ntarget = "https://user:SECRETWORD@siem.example/x"',
        '[siem]\ntarget = "stdout"\nauthorization = "Splunk SECRETWORD"',
        '[log.copies]\nsecret_key = "SECRETWORD"\nbucket = "audit"\naccess_key = "env:A"',
    ],
)
def test_no_secret_is_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r":[23]: (siem|log)") as wrong:
        load(tmp_path, text)
    assert "SECRETWORD" not in wrong.value.detail


def test_a_key_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("noise")
    path, loaded = load(tmp_path, '[log]\nstatements = "sealed"\nauditor_key = "a.pem"')
    with pytest.raises(ConfigurationError, match=r"maskgate\.toml:3: .*a\.pem: not a public key"):
        log_wiring.sealing(path, loaded, Vocabulary())
    (tmp_path / "a.pem").unlink()
    sealing.generate(tmp_path / "a.key", tmp_path / "a.pem")
    assert log_wiring.sealing(path, loaded, Vocabulary()) is not None


def test_nothing_is_sealed_and_nothing_sent_unless_it_is_asked_for(tmp_path: Path) -> None:
    path, loaded = load(tmp_path, "")
    assert log_wiring.sealing(path, loaded, Vocabulary()) is None
    assert log_wiring.tail(path, loaded, tmp_path / "log") is None
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("target", "kind"),
    [("stdout", StdoutSink), ("file:x.ndjson", FileSink), ("https://siem.example/x", HttpSink)],
)
def test_each_target_has_its_sink(tmp_path: Path, target: str, kind: type) -> None:
    path, loaded = load(tmp_path, f'[siem]\ntarget = "{target}"')
    assert loaded.siem is not None
    made = log_wiring.sink(path, loaded.siem)
    made.close()
    assert isinstance(made, kind)


def test_a_wrong_authorization_or_authority_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIEM_TOKEN", raising=False)
    text = '[siem]\ntarget = "https://siem.example/x"\n'
    path, loaded = load(tmp_path, text + 'authorization = "env:SIEM_TOKEN"')
    assert loaded.siem is not None
    with pytest.raises(ConfigurationError, match=r":3: the environment variable SIEM_TOKEN"):
        log_wiring.sink(path, loaded.siem)
    monkeypatch.setenv("SIEM_TOKEN", "SECRETWORD\nX-Injected: 1")
    with pytest.raises(ConfigurationError, match=r":3: .*header field") as wrong:
        log_wiring.sink(path, loaded.siem)
    assert "SECRETWORD" not in wrong.value.detail
    path, loaded = load(tmp_path, text + 'ca = "none.pem"')
    assert loaded.siem is not None
    with pytest.raises(ConfigurationError, match=r":3: siem\.ca = 'none\.pem'"):
        log_wiring.sink(path, loaded.siem)
