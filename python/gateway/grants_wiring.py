"""Who decides about grants, who is told and what quotas there are, built from the configuration."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from gateway import config
from gateway.config import Configuration
from gateway.errors import ConfigurationError
from gateway.grants import AccessRules, AutoApprove, BreakGlass, Hook
from gateway.places import placed
from gateway.sessionlog import SessionLog

_LOG = logging.getLogger("maskgate")


def rules(path: Path, configuration: Configuration) -> AccessRules:
    """Raises ConfigurationError with the line of what is wrong."""
    access = configuration.access
    with placed(path, "access"):
        return AccessRules(
            approvers=tuple(access.approvers),
            auditors=tuple(access.auditors),
            auto_approve=tuple(
                AutoApprove(f"rule-{number}", (rule.who,), rule.connection, int(rule.max_duration))
                for number, rule in enumerate(access.auto_approve, start=1)
            ),
            max_duration_s=int(access.max_duration),
            break_glass=tuple(
                BreakGlass(f"rule-{number}", (rule.who,), rule.connection, int(rule.max_duration))
                for number, rule in enumerate(access.break_glass, start=1)
            ),
            approvals=access.approvals,
            approvals_on={
                name: settings.approvals
                for name, settings in configuration.connections.items()
                if settings.approvals is not None
            },
        )


async def hooks(stack: AsyncExitStack, path: Path, configuration: Configuration) -> list[Hook]:
    """Who is told of changes. Raises ConfigurationError with the line of what is wrong."""
    found = []
    for index, one in enumerate(configuration.access.webhooks):
        with placed(path, "access", "webhooks", index, "secret"):
            secret = config.header(one.secret, path.parent).encode()
        verify: ssl.SSLContext | bool = True
        if one.ca is not None:
            try:
                verify = ssl.create_default_context(cafile=str(path.parent / one.ca))
            except (OSError, ValueError):
                with placed(path, "access", "webhooks", index, "ca"):
                    raise ConfigurationError(
                        f"access.webhooks.ca = {one.ca!r}: not a file of certificates in PEM"
                    ) from None
        client = await stack.enter_async_context(
            httpx.AsyncClient(verify=verify, timeout=5.0, follow_redirects=False, trust_env=False)
        )
        with placed(path, "access", "webhooks", index, "secret"):
            found.append(Hook(one.url, secret, client))
    return found


def recorder(log: SessionLog) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
    """What the grants room calls before a change takes effect: durable when it returns. A broken
    glass is told on standard error as well."""

    async def record(name: str, payload: dict[str, Any]) -> None:
        await log.event(name, payload)
        if name == "grant.break_glass":
            _LOG.critical(
                "BREAK-GLASS: %s reads %s until %s under grant %s, without approval",
                payload["identity"],
                payload["connection"],
                payload["expires_at"],
                payload["grant"],
            )

    return record
