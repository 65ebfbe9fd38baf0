"""Each wrong key is named with its value and its line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway import config, wiring
from gateway.config import Configuration
from gateway.errors import ConfigurationError
from gateway.sessionlog import Anchoring
from gateway.sessionlog.cosignature import WitnessKey
from gateway.sessionlog.note import LogKey

GOOD = """\
[server]
listen = "127.0.0.1:8080"

[[issuers]]
issuer = "https://idp.example.org"
audience = "maskgate"

[access]
approvers = ["group:data-stewards"]
max_duration = "8h"

[connections.clinic]
dsn = "env:CLINIC_DSN"

[connections.clinic.columns]
"public.patient.id" = "clear"
"""

FORMAT = PrivateFormat.PKCS8
WITNESS = '[[log.witnesses]]\nurl = "https://w.example.org"'
VKEY = '\nvkey = "w.example.org/w1+a+b"'
RULE = '{ who = "group:agents", connection = "%s", max_duration = "%s" }'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "maskgate.toml"
    path.write_text(text)
    return path


def test_a_sound_file_loads(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD))
    assert loaded.access.max_duration == 8 * 3600
    assert loaded.connections["clinic"].unclassified == "redact"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("listen =", "lisen ="), r":2: server\.lisen = '127.0.0.1:8080'"),
        (
            ('"127.0.0.1:8080"', '"0.0.0.0:8080"'),
            r":2: server\.listen = '0.0.0.0:8080': .*tls_cert",
        ),
        (('"127.0.0.1:8080"', '"nonsense"'), r":2: server\.listen = 'nonsense'"),
        (('"8h"', '"8 hours"'), r":10: access\.max_duration = '8 hours'"),
        (('"8h"', "0"), r":10: access\.max_duration = 0"),
        (('"group:data-stewards"', '"stewards"'), r":9: access\.approvers\.0 = 'stewards'"),
        (('"env:CLINIC_DSN"', '"env:X"\nexpressions = "mask"'), r":14: .*expressions = 'mask'"),
        (('audience = "maskgate"', "audience = 3"), r":6: issuers\.0\.audience = 3"),
        (("[connections.clinic]", "[connections.Clinic]"), r"connections\.Clinic"),
        (("max_duration", "max_durations"), r":10: access\.max_durations.*: there is no such key"),
        (('"clear"', '"clear'), "not TOML"),
        (('"8h"', '"400d"'), r":10: access\.max_duration = '400d': .*366 days"),
        (('"env:CLINIC_DSN"', '"host=db"'), r":13: connections\.clinic\.dsn: write env:NAME"),
        (('"env:CLINIC_DSN"', '""'), r":13: connections\.clinic\.dsn: write env:NAME"),
        (('"env:CLINIC_DSN"', '"env:NOT A NAME"'), r":13: connections\.clinic\.dsn: write env:"),
        (('"env:CLINIC_DSN"', '"mysql://x/y"'), r":13: connections\.clinic\.dsn: write env:"),
        (('"env:CLINIC_DSN"', '"env:X"\nadmin_dsn = "x"'), r":14: connections\.clinic\.admin_dsn"),
        (
            ('"env:CLINIC_DSN"', '"env:X"\nadmin_dsn = "env:Y"\nrole = "reader"'),
            r":15: connections\.clinic\.role = 'reader': with admin_dsn the gateway makes",
        ),
        (("[access]", '[state]\ncontrol = "local"\n[access]'), r':9: state\.control: .*"embedded"'),
        (
            ("[access]", '[masking]\ntoken_key = "env:KEY"\n[access]'),
            r":9: masking\.token_key: write file:PATH",
        ),
        *(
            (
                ('"env:CLINIC_DSN"', f'"env:X"\nsearch_path = {path}'),
                rf":14: connections\.clinic\.search_path.*{said}",
            )
            for path, said in (
                ("[]", "at least one"),
                ('["a", "a"]', "each once"),
                ('[""]', "not empty"),
                ('[" public"]', "blanks"),
                ('["a\\nb"]', "blanks"),
                ('["$user"]', "name the schema itself"),
                ('["pg_temp"]', "name the schema itself"),
                (f'["{"x" * 64}"]', "63 bytes"),
            )
        ),
        *(
            (
                ('"env:CLINIC_DSN"', f'"env:X"\nrole = "{role}"'),
                rf":14: connections\.clinic\.role = .*{said}",
            )
            for role, said in (("none", "no role"), ("", "not empty"), ("r" * 64, "63 bytes"))
        ),
        (
            ('max_duration = "8h"', f"auto_approve = [{RULE % ('wards', '1h')}]"),
            r":10: access\.auto_approve\.0\.connection = 'wards': no connection but clinic",
        ),
        (
            ('max_duration = "8h"', f"auto_approve = [{RULE % ('clinic', '9h')}]"),
            r":10: access\.auto_approve\.0\.max_duration = 32400: longer than",
        ),
        *(
            (("[access]", f"[log]\n{log}\n[access]"), said)
            for log, said in (
                ("quorum = 1", r":9: log\.quorum = 1: there is no \[\[log\.witnesses\]\]"),
                ("quorum = 0", r":9: log\.quorum = 0: .*greater than or equal to 1"),
                ('require_within = "5m"', r":9: log\.require_within = 300: there is no"),
                (WITNESS, r":9: log\.witnesses\.0\.vkey: Field required"),
                (f"quorum = 2\n{WITNESS}{VKEY}", r":9: log\.quorum = 2: there are 1 witnesses"),
                (f"{WITNESS}{VKEY}\n{WITNESS}{VKEY}", r":14: log\.witnesses\.1\.vkey = .*twice"),
                *(
                    (
                        WITNESS.replace("https://w.example.org", url) + VKEY,
                        r":10: log\.witnesses\.0\.url.*https",
                    )
                    for url in (
                        "http://w.example.org",
                        "https://u:p@w.example.org",
                        "https://w.example.org/?q",
                        "ftp://w.example.org",
                        "w.example.org",
                    )
                ),
            )
        ),
    ],
)
def test_wrong_keys_are_named_with_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(ConfigurationError, match=said):
        config.load(write(tmp_path, GOOD.replace(*change, 1)))


def test_witnesses_and_their_quorum(tmp_path: Path) -> None:
    keys = [WitnessKey(f"w{n}", Ed25519PrivateKey.generate()) for n in range(3)]
    same = WitnessKey("w9", keys[0]._private)

    def built(*vkeys: str, more: str = "") -> Anchoring:
        sections = [f'{WITNESS}\nvkey = "{vkey}"' for vkey in vkeys]
        text = "\n".join([GOOD, "[log]", more, *sections])
        path = write(tmp_path, text)
        return wiring.build_anchoring(path, config.load(path))

    three = built(*(key.vkey for key in keys))
    assert ([one.key for one in three.witnesses], three.quorum, three.require_within) == (
        [key.verifier for key in keys],
        2,
        None,
    )
    strict = built(keys[0].vkey, more='quorum = 1\nrequire_within = "5m"')
    assert (strict.quorum, strict.require_within) == (1, 300.0)
    assert built().witnesses == ()
    for wrong, said in (
        (same.vkey, r":25: witness w9: its key is another's, too"),
        ("w1+a+b", r":25: witness: not base64"),
        (LogKey("w1", keys[1]._private).vkey, r":25: witness: .* not a verifier key of this kind"),
        (keys[1].vkey.replace("w1", "w2"), r":25: witness: .* has key hash"),
        (
            f'{keys[1].vkey}"\nca = "missing.pem',
            r":25: witness: ca .*: not a PEM file",
        ),
    ):
        with pytest.raises(ConfigurationError, match=said):
            built(keys[0].vkey, wrong)


def test_a_secret_is_not_echoed(tmp_path: Path) -> None:
    text = GOOD.replace('dsn = "env:CLINIC_DSN"', "dsn = 12345678")
    with pytest.raises(ConfigurationError) as caught:
        config.load(write(tmp_path, text))
    assert "12345678" not in caught.value.detail
    assert "connections.clinic.dsn" in caught.value.detail


@pytest.mark.parametrize(
    "change",
    [
        ('dsn = "env:CLINIC_DSN"', 'dns = "postgresql://u:SECRETPW@h/d"'),
        ('dsn = "env:CLINIC_DSN"', 'dsn = "env:X"\npassword = "SECRETPW"'),
        ('[connections.clinic]\ndsn = "env:CLINIC_DSN"', '[connections]\nclinic = "SECRETPW://x"'),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_echoed(tmp_path: Path, change: tuple[str, str]) -> None:
    text = GOOD.replace(*change).replace(
        '[connections.clinic.columns]\n"public.patient.id" = "clear"', ""
    )
    with pytest.raises(ConfigurationError) as caught:
        config.load(write(tmp_path, text))
    assert "SECRETPW" not in caught.value.detail
    assert "connections.clinic" in caught.value.detail


SECOND = """[[issuers]]
issuer = "https://idp.example.org"

[[issuers]]
issuer = "%s"
"""


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("http://other.example.org", "http:// is allowed on this machine only"),
        ("https://other.example.org/#x", "no fragment"),
        ("https://idp.example.org", "listed twice"),
    ],
)
def test_a_wrong_issuer_is_named_with_its_own_line(tmp_path: Path, second: str, said: str) -> None:
    text = GOOD.replace('[[issuers]]\nissuer = "https://idp.example.org"\n', SECOND % second)
    path = write(tmp_path, text)
    loaded = config.load(path)
    with pytest.raises(ConfigurationError, match=rf":8: issuer '{second}': .*{said}"):
        wiring.build_identity(path, loaded)


def test_a_wrong_rule_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace('"clear"', '"clean"'))
    with pytest.raises(ConfigurationError, match=r":16: connections\.clinic\.columns.*'clean'"):
        wiring.build_policies(path, config.load(path))


def test_what_the_environment_holds_is_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIC_DSN", "host=db password=SECRETPW")
    path = write(tmp_path, GOOD)
    problems = asyncio.run(wiring.problems(path, config.load(path))).wrong
    (said,) = [problem for problem in problems if "clinic" in problem]
    assert f"{path}:13: env:CLINIC_DSN does not hold an address" in said
    assert "SECRETPW" not in said


def test_what_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = "postgresql://nobody@127.0.0.1:1/nothing"
    monkeypatch.setenv("CLINIC_DSN", dead)
    text = GOOD.replace("https://idp.example.org", "http://127.0.0.1:1")
    path = write(tmp_path, f'{text}[state]\ncontrol = "{dead}"\n')
    clinic, control, issuer = asyncio.run(wiring.problems(path, config.load(path))).wrong
    assert clinic.startswith("connections.clinic: ")
    assert control.startswith("state.control: The control store cannot be reached")
    assert issuer.startswith("issuers: The issuer http://127.0.0.1:1 cannot be reached")
    path.write_text(f'{text}[state]\ncontrol = "env:NOT_SET"\n')
    _, control, _ = asyncio.run(wiring.problems(path, config.load(path))).wrong
    assert f"{path}:18: the environment variable NOT_SET is not set" in control


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1", "127.0.0.1:x"])
def test_ports_out_of_range_are_named(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigurationError, match=r":2: server\.listen"):
        config.load(write(tmp_path, GOOD.replace("127.0.0.1:8080", listen)))


def test_a_development_issuer_needs_loopback_and_leave(tmp_path: Path) -> None:
    marked = GOOD.replace('audience = "maskgate"', "development = true")
    with pytest.raises(ConfigurationError, match="allow_development_issuer"):
        config.load(write(tmp_path, marked))
    allowed = marked.replace("[server]", "[server]\nallow_development_issuer = true")
    assert config.load(write(tmp_path, allowed)).issuers[0].development
    (tmp_path / "c").touch()
    (tmp_path / "k").touch()
    public = allowed.replace('"127.0.0.1:8080"', '"10.0.0.1:443"\ntls_cert = "c"\ntls_key = "k"')
    with pytest.raises(ConfigurationError, match="loopback"):
        config.load(write(tmp_path, public))


@pytest.mark.parametrize("defect", ["", "no PEM", "another's key", "a key with a password"])
def test_a_certificate_is_read_before_the_gateway_starts(tmp_path: Path, defect: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway.example.org")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    ).sign(key, hashes.SHA256())
    (tmp_path / "c").write_bytes(certificate.public_bytes(Encoding.PEM))
    shown = ec.generate_private_key(ec.SECP256R1()) if defect == "another's key" else key
    lock = BestAvailableEncryption(b"x") if defect == "a key with a password" else NoEncryption()
    (tmp_path / "k").write_bytes(
        b"no PEM" if defect == "no PEM" else shown.private_bytes(Encoding.PEM, FORMAT, lock)
    )
    path = write(
        tmp_path, GOOD.replace('"127.0.0.1:8080"', '"0.0.0.0:443"\ntls_cert = "c"\ntls_key = "k"')
    )
    if not defect:
        assert config.load(path).server.address == ("0.0.0.0", 443)
        return
    with pytest.raises(ConfigurationError, match=r":3: server\.tls_cert = 'c': .*PEM"):
        config.load(path)


def test_values_from_environment_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIC_DSN", "postgresql://x")
    (tmp_path / "dsn").write_text("postgresql://y\n")
    assert config.resolve("env:CLINIC_DSN", tmp_path) == "postgresql://x"
    assert config.resolve("file:dsn", tmp_path) == "postgresql://y"
    with pytest.raises(ConfigurationError, match="NO_SUCH"):
        config.resolve("env:NO_SUCH", tmp_path)


def test_every_setting_has_a_heading_in_the_operating_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    headings = {line[4:].strip() for line in page.splitlines() if line.startswith("### ")}
    expected = set()
    for name, field in Configuration.model_fields.items():
        section = field.annotation
        if name == "issuers":
            section = config.IssuerSettings
        elif name == "saml":
            section = config.SamlSettings
        elif name == "connections":
            section = config.ConnectionSettings
        elif name == "siem":
            section = config.SiemSettings
        elif name == "patterns":
            section = config.PatternSettings
        elif name == "dictionaries":
            section = config.DictionarySettings
        expected |= {f"{name}.{key}" for key in section.model_fields}  # type: ignore[union-attr]
    assert headings == expected
