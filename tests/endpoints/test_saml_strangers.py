"""What somebody without a credential may take of a gateway that signs people in: no statement's
way to the control store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
import world as worlds
from test_saml_sign_in import Browser, answer_to, idp, login_address, played, redeem
from world import AGENT, World

import servers

__all__ = ["idp"]  # a fixture

STRANGERS = 16  # twice the store's connections


@pytest.fixture(scope="module")
def here(
    newest: servers.Server, idp: played.Idp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with worlds.built(tmp_path_factory.mktemp("strangers"), newest, "strangers") as built:
        built.write_config(port=int(built.url.rpartition(":")[2]))
        with built.config.open("a") as file:
            file.write(
                f'[[saml]]\nname = "corp"\nentity_id = "{played.IDP}"\nmetadata = "{idp.file}"\n'
            )
        built.restart()
        yield built


Step = Callable[[httpx.AsyncClient, World], Awaitable[httpx.Response]]

STEPS: dict[str, tuple[str, Step]] = {
    "begins": ("saml_requests", lambda http, world: http.get(login_address(world))),
    "goes on": (
        "saml_requests",
        lambda http, world: http.get(f"{world.url}/v1/saml/corp/confirm?handle=x"),
    ),
    "takes": (
        "saml_requests",
        lambda http, world: http.post(
            f"{world.url}/v1/saml/token", json={"code": "x", "code_verifier": "y"}
        ),
    ),
    "calls": (
        "sign_ins",
        lambda http, world: http.get(
            f"{world.url}/v1/whoami", headers={"Authorization": f"Bearer mgs_{'A' * 43}"}
        ),
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_strangers_wait_for_one_another_and_no_statement_for_them(here: World, step: str) -> None:
    """The store is slow to answer each of them."""
    body = {"connection": "clinic", "tables": ["*"], "purpose": "try", "duration_s": 600}
    granted = here.call(AGENT, "POST", "/v1/grants", body).json()
    here.call(worlds.STEWARD, "POST", f"/v1/grants/{granted['id']}/approve", {"reason": "ok"})
    table, ask = STEPS[step]

    async def go() -> tuple[httpx.Response, list[Any]]:
        connection = await asyncpg.connect(here.server.dsn(database=f"{here.database}_control"))
        async with httpx.AsyncClient(timeout=30) as http:
            async with connection.transaction():
                await connection.execute(f"LOCK maskgate.{table} IN ACCESS EXCLUSIVE MODE")
                asking = [asyncio.create_task(ask(http, here)) for _ in range(STRANGERS)]
                await asyncio.sleep(0.5)
                query = {"connection": "clinic", "sql": "select id from patient limit 1"}
                answer = await asyncio.to_thread(here.call, AGENT, "POST", "/v1/query", query)
            await connection.close()
            return answer, [one.status_code for one in await asyncio.gather(*asking)]

    answer, answered = asyncio.run(go())
    assert answer.status_code == 200, answer.text
    assert set(answered) <= {303, 401, 429}


def test_open_requests_that_fill_their_table(here: World, idp: Any) -> None:
    async def execute(sql: str) -> None:
        connection = await asyncpg.connect(here.server.dsn(database=f"{here.database}_control"))
        await connection.execute(sql)
        await connection.close()

    browser = Browser(here)
    mine = browser.begin(login_address(here))
    asyncio.run(
        execute(
            "INSERT INTO maskgate.saml_requests"
            " (id, provider, challenge, port, state, browser, expires_at)"
            " SELECT '_full' || n, 'corp', 'c', 2000, 's', 'b', now() + interval '9 min'"
            " FROM generate_series(1, 10000) n"
        )
    )
    try:
        refused = httpx.get(login_address(here))
        assert (refused.status_code, "begun and not ended" in refused.text) == (429, True)
        assert refused.headers["retry-after"] == "60"
        # Who has begun goes on.
        answered = browser.answer(answer_to(here, idp, mine))
        code = browser.confirm(answered).headers["location"].partition("code=")[2].partition("&")[0]
        assert redeem(here, code).status_code == 200
    finally:
        asyncio.run(execute("DELETE FROM maskgate.saml_requests WHERE id LIKE '\\_full%'"))
    worlds.wait_until(lambda: httpx.get(login_address(here)).status_code == 303, 10)
