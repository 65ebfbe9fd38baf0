"""People who sign in at a SAML provider: a real gateway, a terminal, the steps of a browser."""

from __future__ import annotations

import base64
import copy
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg
import httpx
import pytest
import world as worlds
from lxml import etree
from world import AGENT, World

sys.path.insert(0, str(Path(__file__).parents[1] / "saml"))

import played_idp as played

import servers
from commands import run
from gateway import logins
from gateway.pairing import challenge_of, user_code

VERIFIER = "v" * 64
STATE = "s" * 43
PORT = 40123
OTHER = "https://other.example.org/saml"


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> played.Idp:
    return played.Idp(tmp_path_factory.mktemp("provider"))


@pytest.fixture(scope="module")
def here(
    newest: servers.Server, idp: played.Idp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with worlds.built(tmp_path_factory.mktemp("saml"), newest, "saml") as built:
        built.write_config(port=int(built.url.rpartition(":")[2]))
        elsewhere = built.home / "other.xml"
        elsewhere.write_text(played.metadata(idp.other, entity=OTHER))
        with built.config.open("a") as file:
            file.write(
                f'[[saml]]\nname = "corp"\nentity_id = "{played.IDP}"\nmetadata = "{idp.file}"\n'
                f'[[saml]]\nname = "other"\nentity_id = "{OTHER}"\nmetadata = "{elsewhere}"\n'
            )
        built.restart()
        yield built


def login_address(world: World, name: str = "corp", **changed: str) -> str:
    query = {"code_challenge": challenge_of(VERIFIER), "port": str(PORT), "state": STATE}
    return f"{world.url}/v1/saml/{name}/login?{urlencode({**query, **changed})}"


def request_of(location: str) -> Any:
    (packed,) = parse_qs(urlsplit(location).query)["SAMLRequest"]
    return etree.fromstring(zlib.decompress(base64.b64decode(packed), wbits=-15))


def answer_to(world: World, idp: played.Idp, request: Any, at: str = "corp", **changed: Any) -> str:
    now = datetime.now(UTC)
    base = f"{world.url}/v1/saml/{at}"
    told: dict[str, Any] = {
        "request": request.get("ID"),
        "audience": played.AUDIENCE.replace(played.BASE, base),
        "recipient": f"{base}/acs",
        "destination": f"{base}/acs",
        "now": now,
        "response_now": now,
        "not_before": played.stamp(now - timedelta(seconds=5)),
        "until": played.stamp(now + timedelta(seconds=60)),
        "confirmed_until": played.stamp(now + timedelta(seconds=60)),
        "authn": played.stamp(now),
        "session": played.stamp(now + timedelta(hours=1)),
        "id": "_" + request.get("ID")[5:],
    }
    key = idp.key if at == "corp" else idp.other
    return played.encoded(idp.signed(played.Response(**{**told, **changed}), key=key))


class Browser:
    """One browser's cookies and steps."""

    def __init__(self, world: World) -> None:
        self.http = httpx.Client(
            base_url=world.url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def begin(self, address: str) -> Any:
        sent = self.http.get(address)
        assert sent.status_code == 303, sent.text
        return request_of(sent.headers["location"])

    def answer(self, response: str, name: str = "corp") -> httpx.Response:
        # What a form on the provider's page does: another site's, so no cookie of ours goes along.
        with httpx.Client(base_url=self.http.base_url, timeout=30) as plain:
            form = {"SAMLResponse": response, "RelayState": "https://evil.example.org/"}
            return plain.post(f"/v1/saml/{name}/acs", data=form)

    def confirm(self, answered: httpx.Response) -> httpx.Response:
        page = self.http.get(answered.headers["location"])
        handle = re.search(r'name="handle" value="([^"]+)"', page.text)
        if handle is None:
            return page
        return self.http.post("/v1/saml/corp/confirm", data={"handle": handle[1]})


def code_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"http://127.0.0.1:{PORT}/?")
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == [STATE]
    return query["code"][0]


def redeem(world: World, code: str, verifier: str = VERIFIER) -> httpx.Response:
    return httpx.post(f"{world.url}/v1/saml/token", json={"code": code, "code_verifier": verifier})


def signed_in(world: World, idp: played.Idp, **changed: Any) -> str:
    """A credential."""
    browser = Browser(world)
    request = browser.begin(login_address(world))
    answered = browser.answer(answer_to(world, idp, request, **changed))
    redeemed = redeem(world, code_of(browser.confirm(answered)))
    assert redeemed.status_code == 200, redeemed.text
    return str(redeemed.json()["token"])


def whoami(world: World, credential: str) -> httpx.Response:
    return httpx.get(f"{world.url}/v1/whoami", headers={"Authorization": f"Bearer {credential}"})


def asked(world: World, sql: str) -> list[Any]:
    """What the control store says."""
    import asyncio

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(world.server.dsn(database="saml_control"))
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    return asyncio.run(ask())


def by_terminal(world: World, idp: played.Idp) -> tuple[int, str, str]:
    """`maskgate login --saml` in a process of its own, and its person's browser."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "login", "--url", world.url, "--saml", "corp"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        opened = re.search(r"Open (\S+) in", process.stderr.readline())
        shown = re.search(r"code is (\S+)", process.stderr.readline())
        assert opened and shown
        browser = Browser(world)
        answered = browser.answer(answer_to(world, idp, browser.begin(opened[1])))
        page = browser.http.get(answered.headers["location"])
        assert shown[1] in page.text
        port = parse_qs(urlsplit(opened[1]).query)["port"][0]
        assert httpx.get(f"http://127.0.0.1:{port}/?code=x&state=y").status_code == 404
        back = browser.confirm(answered)
        assert httpx.get(back.headers["location"]).status_code == 200
        out, err = process.communicate()
    finally:
        timer.cancel()
    return process.returncode, out, err


def test_a_person_signs_in_at_a_terminal_and_out_again(
    here: World, idp: played.Idp, home: Path
) -> None:
    code, out, err = by_terminal(here, idp)
    assert code == 0, err
    assert f"{played.IDP}#{played.NAME}" in out
    kept = logins.current(here.url)
    assert kept.token.startswith("mgs_")
    who = whoami(here, kept.token).json()
    assert (who["subject"], who["groups"]) == (played.NAME, ["data-stewards"])
    code, out, _ = run("logout", "--url", here.url)
    assert (code, "the gateway ended it" in out) == (0, True)
    refused = whoami(here, kept.token)
    assert (refused.status_code, "has ended" in refused.text) == (401, True)


def test_who_signs_in_approves_what_an_agent_asks_for_and_reads_under_a_grant(
    here: World, idp: played.Idp
) -> None:
    credential = signed_in(here, idp)
    body = {"connection": "clinic", "tables": ["*"], "purpose": "try", "duration_s": 600}
    granted = here.call(AGENT, "POST", "/v1/grants", body).json()
    mine = {"Authorization": f"Bearer {credential}"}
    with httpx.Client(base_url=here.url, headers=mine, timeout=30) as http:
        approved = http.post(f"/v1/grants/{granted['id']}/approve", json={"reason": "ok"})
        assert approved.json()["decided_by"] == f"{played.IDP}#{played.NAME}"
        own = http.post("/v1/grants", json=body).json()
        refused = http.post(f"/v1/grants/{own['id']}/approve", json={"reason": "me"})
        assert refused.status_code == 403
        approved = here.call(
            worlds.STEWARD, "POST", f"/v1/grants/{own['id']}/approve", {"reason": "ok"}
        )
        assert approved.status_code == 200
        session = http.post("/v1/sessions", json={"connection": "clinic"}).json()["id"]
        rows = http.post(
            f"/v1/sessions/{session}/query",
            json={"sql": "select id, full_name from patient order by id limit 1"},
            headers={"Accept": "text/csv"},
        )
        assert "[REDACTED]" in rows.text
        assert http.delete(f"/v1/sessions/{session}").status_code == 204
    opened = here.records(session)[0]
    assert (opened["credential"], opened["identity"]) == ("saml", f"{played.IDP}#{played.NAME}")
    assert credential not in str(opened)


def test_an_answer_is_taken_once_and_only_to_an_open_request(here: World, idp: played.Idp) -> None:
    browser = Browser(here)
    request = browser.begin(login_address(here))
    response = answer_to(here, idp, request)
    first = browser.answer(response)
    assert first.status_code == 303
    again = browser.answer(response)
    assert (again.status_code, "taken before" in again.text) == (401, True)
    other = browser.answer(answer_to(here, idp, request, id="_another"))
    assert (other.status_code, "no open request" in other.text) == (401, True)
    request.set("ID", "_" + "0" * 40)
    unknown = browser.answer(answer_to(here, idp, request))
    assert (unknown.status_code, "no open request" in unknown.text) == (401, True)
    assert "mgs_" not in first.text + again.text


def test_what_one_gateway_began_another_ends_and_neither_takes_it_twice(
    here: World, idp: played.Idp, tmp_path: Path
) -> None:
    """Two gateways behind one address, with one store."""
    other = copy.copy(here)
    other.home, other.config = tmp_path, tmp_path / "maskgate.toml"
    text = here.config.read_text().replace("[server]", f'[server]\npublic_url = "{here.url}"')
    port = here.url.rpartition(":")[2]
    text = text.replace(f'listen = "127.0.0.1:{port}"', 'listen = "127.0.0.1:0"')
    other.config.write_text(text.replace("test.example", "other.example"))
    other.start()
    try:
        browser = Browser(here)
        response = answer_to(here, idp, browser.begin(login_address(here)))
        there = f"{other.url}/v1/saml/corp/acs"
        answered = httpx.post(there, data={"SAMLResponse": response})
        assert answered.status_code == 303
        assert "taken before" in browser.answer(response).text
        assert "taken before" in httpx.post(there, data={"SAMLResponse": response}).text
        code = code_of(browser.confirm(answered))
        credential = redeem(other, code).json()["token"]
        assert whoami(here, credential).status_code == 200
        assert redeem(here, code).status_code == 401
        ended = httpx.delete(
            f"{here.url}/v1/saml/token", headers={"Authorization": f"Bearer {credential}"}
        )
        assert ended.status_code == 204
        assert whoami(other, credential).status_code == 401
    finally:
        other.gateway.end()


def test_a_request_to_one_provider_is_not_another_s_to_answer(here: World, idp: played.Idp) -> None:
    browser = Browser(here)
    request = browser.begin(login_address(here))
    response = answer_to(here, idp, request, "other", issuer=OTHER, response_issuer=OTHER)
    refused = browser.answer(response, "other")
    assert (refused.status_code, "no open request" in refused.text) == (401, True)
    refused = browser.answer(response)
    assert (refused.status_code, "does not match any key" in refused.text) == (401, True)
    assert browser.answer("AAAA", name="none").status_code == 404
    assert browser.answer(answer_to(here, idp, request)).status_code == 303


def test_a_connection_for_bound_tokens_is_not_open_to_a_sign_in(
    here: World, idp: played.Idp
) -> None:
    credential = signed_in(here, idp)
    text = here.config.read_text()
    try:
        here.config.write_text(
            text.replace("[connections.clinic]", "[connections.clinic]\nrequire_dpop = true", 1)
        )
        here.restart()
        mine = {"Authorization": f"Bearer {credential}"}
        body = {"connection": "clinic"}
        refused = httpx.post(f"{here.url}/v1/sessions", json=body, headers=mine)
        assert (refused.status_code, "DPoP" in refused.text) == (401, True)
    finally:
        here.config.write_text(text)
        here.restart()


def test_only_the_browser_that_began_goes_on(here: World, idp: played.Idp) -> None:
    """Somebody who begins himself and has another person answer gets nothing from it."""
    attacker, victim = Browser(here), Browser(here)
    request = attacker.begin(login_address(here))
    answered = victim.answer(answer_to(here, idp, request))
    page = victim.http.get(answered.headers["location"])
    assert (page.status_code, "another browser" in page.text) == (401, True)
    handle = parse_qs(urlsplit(answered.headers["location"]).query)["handle"][0]
    pushed = victim.http.post("/v1/saml/corp/confirm", data={"handle": handle})
    assert (pushed.status_code, "another browser" in pushed.text) == (401, True)


def test_only_the_terminal_that_began_gets_the_credential_and_once(
    here: World, idp: played.Idp
) -> None:
    def code() -> str:
        browser = Browser(here)
        answered = browser.answer(answer_to(here, idp, browser.begin(login_address(here))))
        return code_of(browser.confirm(answered))

    stolen = code()
    wrong = redeem(here, stolen, "w" * 64)
    assert (wrong.status_code, "another terminal" in wrong.text) == (401, True)
    assert redeem(here, stolen).status_code == 401  # used up by the attempt
    mine = code()
    taken = redeem(here, mine)
    assert taken.status_code == 200
    assert taken.headers["cache-control"] == "no-store"
    assert redeem(here, mine).status_code == 401


def test_a_page_that_names_person_provider_and_code_and_holds_no_script(
    here: World, idp: played.Idp
) -> None:
    browser = Browser(here)
    request = browser.begin(login_address(here))
    answered = browser.answer(
        answer_to(here, idp, request, name="&lt;b&gt;alice&amp;&quot;&lt;/b&gt;")
    )
    page = browser.http.get(answered.headers["location"])
    assert "&lt;b&gt;alice&amp;&quot;&lt;/b&gt;" in page.text
    assert user_code(challenge_of(VERIFIER)) in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert f"form-action 'self' http://127.0.0.1:{PORT}" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "changed",
    [
        {"port": "80"},
        {"port": "070000"},
        {"port": "40123@evil.example.org"},
        {"port": "-1"},
        {"state": "x"},
        {"state": "s" * 42 + "\n"},
        {"code_challenge": "c" * 44},
    ],
    ids=str,
)
def test_nobody_is_sent_anywhere_else(here: World, changed: dict[str, str]) -> None:
    answer = httpx.get(login_address(here, **changed))
    assert answer.status_code == 422
    assert "location" not in answer.headers


def test_a_field_twice_or_a_form_that_is_none(here: World, idp: played.Idp) -> None:
    request = Browser(here).begin(login_address(here))
    response = answer_to(here, idp, request)
    form = urlencode({"SAMLResponse": response})
    where = f"{here.url}/v1/saml/corp/acs"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (f"{form}&{form}", f"SAMLResponse=x&{form}", "", "SAMLResponse=%ff", "\xff"):
        answer = httpx.post(where, content=body.encode("latin-1"), headers=kind)
        assert answer.status_code in (401, 422), body[:40]
    assert httpx.post(where, json={"SAMLResponse": response}).status_code == 422
    assert httpx.post(where, content=b"x=" + b"y" * (1 << 20), headers=kind).status_code == 422
    assert httpx.get(where).status_code == 405
    assert httpx.post(where, content=form, headers=kind).status_code == 303


def test_a_sign_in_ends_with_the_provider_s_session(here: World, idp: played.Idp) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=4)
    credential = signed_in(here, idp, session=played.stamp(ends))
    assert whoami(here, credential).status_code == 200
    worlds.wait_until(lambda: whoami(here, credential).status_code == 401, 10)


def test_what_is_no_credential(here: World, idp: played.Idp) -> None:
    credential = signed_in(here, idp)
    for wrong in (
        credential[:-1],
        credential + "A",
        credential.upper(),
        "mgs_",
        "mgs_" + "A" * 43,
        "mgs_" + "A" * 43 + "%",
    ):
        assert whoami(here, wrong).status_code == 401, wrong
    headers = {"Authorization": f"DPoP {credential}"}
    assert httpx.get(f"{here.url}/v1/whoami", headers=headers).status_code == 401


def test_the_store_holds_no_secret(here: World, idp: played.Idp) -> None:
    credential = signed_in(here, idp)
    rows = [
        str(dict(row))
        for table in ("saml_requests", "saml_assertions", "sign_ins")
        for row in asked(here, f"select * from maskgate.{table}")
    ]
    assert rows
    assert not [row for row in rows if credential in row or credential[4:] in row]


def test_every_refusal_is_recorded(here: World, idp: played.Idp) -> None:
    browser = Browser(here)
    request = browser.begin(login_address(here))
    root = idp.signed(played.Response(request=request.get("ID")), key=idp.other)
    refused = browser.answer(played.encoded(root))
    assert (refused.status_code, "does not match any key" in refused.text) == (401, True)
    words = "its signature does not match any key"
    logged = b"".join(
        path.read_bytes() for path in (here.home / "log").rglob("*") if path.is_file()
    )
    assert words.encode() in logged


def test_a_provider_that_is_no_longer_configured(here: World, idp: played.Idp) -> None:
    credential = signed_in(here, idp)
    text = here.config.read_text()
    try:
        here.config.write_text(text.partition("[[saml]]")[0])  # ends the file
        here.restart()
        assert whoami(here, credential).status_code == 401
        other = text.replace('name = "corp"', 'name = "else"')
        here.config.write_text(other)
        here.restart()
        refused = whoami(here, credential)
        assert (refused.status_code, "trusts any more" in refused.text) == (401, True)
    finally:
        here.config.write_text(text)
        here.restart()
    assert whoami(here, credential).status_code == 200


def test_the_gateway_s_own_metadata(here: World) -> None:
    answer = httpx.get(f"{here.url}/v1/saml/corp/metadata")
    root = etree.fromstring(answer.content)
    assert root.get("entityID") == f"{here.url}/v1/saml/corp/metadata"
    assert httpx.get(f"{here.url}/v1/saml/none/metadata").status_code == 404
    document = httpx.get(f"{here.url}/.well-known/oauth-protected-resource").json()
    assert document["maskgate_saml_providers"] == ["corp", "other"]


def test_a_browser_that_calls_the_gateway_by_another_name_is_sent_to_the_first(
    here: World,
) -> None:
    address = login_address(here)
    answer = httpx.get(address.replace("127.0.0.1", "localhost"))
    assert (answer.status_code, answer.headers["location"]) == (303, address)
