"""Who approves, who is told, how much may be used: as a configuration says it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway import config, grants_wiring
from gateway.errors import ConfigurationError

BASE = """
[[issuers]]
issuer = "https://idp.example.org"
[connections.clinic]
dsn = "env:CLINIC_DSN"
approvals = 3
[access]
approvers = ["group:stewards"]
"""


def loaded(tmp_path: Path, more: str) -> config.Configuration:
    path = tmp_path / "maskgate.toml"
    path.write_text(BASE + more)
    return config.load(path)


def test_what_is_said_is_built(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("a secret of thirty-two characters\n")
    found = loaded(
        tmp_path,
        "approvals = 2\n"
        'break_glass = [{ who = "group:er", connection = "clinic" }]\n'
        'webhooks = [{ url = "https://hooks.example.org/x", secret = "file:hook" }]\n'
        '[limits]\nquotas = [{ per = "identity", connection = "clinic", per_minute = 30 }]\n',
    )
    rules = grants_wiring.rules(tmp_path / "maskgate.toml", found)
    assert (rules.needed("clinic"), rules.needed("other")) == (3, 2)
    assert [(rule.connection, rule.max_duration_s) for rule in rules.break_glass] == [
        ("clinic", 900)
    ]
    assert found.limits.quotas[0].per_minute == 30

    async def secrets() -> list[bytes]:
        async with AsyncExitStack() as stack:
            hooks = await grants_wiring.hooks(stack, tmp_path / "maskgate.toml", found)
            return [hook.secret for hook in hooks]

    assert asyncio.run(secrets()) == [b"a secret of thirty-two characters"]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("approvals = 0", "access.approvals"),
        ("approvals = 17", "access.approvals"),
        ('break_glass = [{ who = "group:er", connection = "none" }]', "access.break_glass"),
        ('break_glass = [{ who = "er", connection = "clinic" }]', "access.break_glass"),
        (
            'max_duration = "5m"\nbreak_glass = [{ who = "group:er", connection = "clinic" }]',
            "access.break_glass",
        ),
        ('webhooks = [{ url = "http://x.example.org", secret = "file:h" }]', "access.webhooks"),
        ('webhooks = [{ url = "file:x", secret = "file:h" }]', "access.webhooks"),
        (
            'webhooks = [{ url = "https://x.example.org", secret = "file:a" }, '
            '{ url = "https://x.example.org", secret = "file:b" }]',
            "access.webhooks",
        ),
        ('webhooks = [{ url = "stdout", secret = "file:h" }]', "access.webhooks"),
        ('webhooks = [{ url = "https://x.example.org", secret = "s3cret" }]', "access.webhooks"),
        ('[limits]\nquotas = [{ per = "table", per_minute = 1 }]', "limits.quotas"),
        ('[limits]\nquotas = [{ per = "grant", per_minute = 0 }]', "limits.quotas"),
        ('[limits]\nquotas = [{ per = "grant", connection = "none" }]', "limits.quotas"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path: Path, more: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        loaded(tmp_path, more)
    assert key in told.value.detail
    assert "s3cret" not in told.value.detail
