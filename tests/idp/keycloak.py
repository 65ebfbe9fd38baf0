"""Keycloak, really started, and a gateway that believes it by SAML and by OIDC (`make
test-keycloak`).

A person signs in in a scripted browser, at the pages that Keycloak shows; programs and devices get
tokens from the same realm. Answers that Keycloak made for this gateway are kept, changed and sent
again, and refused.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1] / "endpoints"))

import world as worlds

import commands
import servers
from gateway import logins
from gateway.client import Client

pytestmark = pytest.mark.usefixtures("home")  # no sign-in of the machine's user is touched
PERSON, PASSWORD, AGENT, SECRET = "steward-pat", "correct horse", "agent-reporting", "s" * 32
STARTS_IN = 240.0  # seconds; it builds itself at its first start


def realm(gateway: str) -> dict[str, Any]:
    """The realm: a person with a group, this gateway by SAML, a program and a terminal by OIDC."""
    saml = f"{gateway}/v1/saml/corp"
    audience = {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": "maskgate", "access.token.claim": "true"},
    }
    groups = {
        "name": "groups",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {"claim.name": "groups", "full.path": "false", "access.token.claim": "true"},
    }
    return {
        "realm": "clinic",
        "enabled": True,
        "sslRequired": "none",
        "groups": [{"name": "data-stewards"}, {"name": "visitors"}],
        "users": [
            {
                "username": PERSON,
                "enabled": True,
                "email": "pat@example.org",
                "emailVerified": True,
                "firstName": "Pat",
                "lastName": "Steward",
                "credentials": [{"type": "password", "value": PASSWORD}],
                "groups": ["/data-stewards"],
            }
        ],
        "clients": [
            {
                "clientId": f"{saml}/metadata",
                "protocol": "saml",
                "redirectUris": [f"{saml}/acs"],
                "attributes": {
                    "saml.assertion.signature": "true",
                    "saml.server.signature": "true",
                    "saml.client.signature": "false",
                    "saml.signature.algorithm": "RSA_SHA256",
                    "saml.authnstatement": "true",
                    "saml.force.post.binding": "true",
                    "saml_name_id_format": "persistent",
                    "saml_assertion_consumer_url_post": f"{saml}/acs",
                },
                "protocolMappers": [
                    {
                        "name": "groups",
                        "protocol": "saml",
                        "protocolMapper": "saml-group-membership-mapper",
                        "config": {
                            "attribute.name": "groups",
                            "attribute.nameformat": "Basic",
                            "single": "true",
                            "full.path": "false",
                        },
                    },
                    {
                        "name": "uid",
                        "protocol": "saml",
                        "protocolMapper": "saml-user-property-mapper",
                        "config": {
                            "user.attribute": "username",
                            "attribute.name": "uid",
                            "attribute.nameformat": "Basic",
                        },
                    },
                ],
            },
            {
                "clientId": AGENT,
                "secret": SECRET,
                "serviceAccountsEnabled": True,
                "standardFlowEnabled": False,
                "protocolMappers": [audience],
            },
            {
                "clientId": "maskgate-cli",
                "publicClient": True,
                "standardFlowEnabled": False,
                "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
                "protocolMappers": [audience, groups],
            },
        ],
    }


class Keycloak:
    """A Keycloak in development mode, with a realm and a database in memory."""

    def __init__(self, installed: Path, home: Path, gateway: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        data = installed / "data" / "import"
        shutil.rmtree(installed / "data", ignore_errors=True)
        data.mkdir(parents=True)
        (data / "clinic.json").write_text(json.dumps(realm(gateway)))
        self.log = home / "keycloak.log"
        with self.log.open("wb") as told:
            self._child = subprocess.Popen(
                [
                    installed / "bin" / "kc.sh", "start-dev", "--import-realm", "--db=dev-mem",
                    "--http-host=127.0.0.1", f"--http-port={port}",
                ],
                stdout=told, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "JAVA_OPTS_KC_HEAP": "-Xmx640m"},
            )  # fmt: skip
        self.realm = f"http://127.0.0.1:{port}/realms/clinic"
        self.descriptor = self._described()

    def _described(self) -> str:
        end = time.monotonic() + STARTS_IN
        while time.monotonic() < end and self._child.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.get(f"{self.realm}/protocol/saml/descriptor", timeout=10)
                if answer.status_code == 200:
                    return answer.text
            time.sleep(1)
        self.end()
        raise RuntimeError(f"Keycloak did not start: {self.log.read_text()[-4000:]}")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, 15)  # the script and its Java
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, 9)
        self._child.wait()


@pytest.fixture(scope="module")
def installed() -> Path:
    (found,) = Path(os.environ["MASKGATE_TEST_KEYCLOAK"]).glob("keycloak-*/")
    return found


@pytest.fixture(scope="module")
def here(
    newest: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    with worlds.built(tmp_path_factory.mktemp("keycloak"), newest, "keycloak") as built:
        yield built


@pytest.fixture(scope="module")
def keycloak(here: worlds.World, installed: Path) -> Iterator[Keycloak]:
    """Started once the gateway's address is known; then the gateway believes it."""
    started = Keycloak(installed, here.home, here.url)
    try:
        (here.home / "idp.xml").write_text(started.descriptor)
        here.write_config(port=int(here.url.rpartition(":")[2]))
        with here.config.open("a") as file:
            file.write(f"""
[[issuers]]
issuer = "{started.realm}"
identity_claim = "preferred_username"
authorized_parties = ["maskgate-cli", "{AGENT}"]
[[saml]]
name = "corp"
entity_id = "{started.realm}"
metadata = "idp.xml"
identity_attribute = "uid"
same_people_as_issuer = true
""")
        here.restart()
        yield started
    finally:
        started.end()


class Browser:
    """A person at Keycloak's pages and the gateway's: follows them, fills in their forms."""

    def __init__(self, password: str = PASSWORD) -> None:
        self._http = httpx.Client(
            follow_redirects=True,
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),
            event_hooks={"response": [self._keep_on_loopback]},
        )
        self._password = password
        self.shown: list[str] = []

    def _keep_on_loopback(self, _: httpx.Response) -> None:
        """Keycloak's cookies are Secure; browsers send such to their own machine without TLS."""
        for cookie in self._http.cookies.jar:
            cookie.secure = False

    def walk(self, address: str, *, until: str | None = None) -> tuple[str, dict[str, str]]:
        """Goes on until a page has no form, or one that goes to `until`: its text and fields."""
        page = self._http.get(address)
        for _ in range(10):
            self.shown.append(page.text)
            form = re.search(r"<form[^>]*>.*?</form>", page.text, re.S | re.I)
            if form is None:
                return page.text, {}
            fields = dict(self._fields(form[0]))
            action = re.search(r'action="([^"]*)"', form[0], re.I)
            target = urljoin(str(page.url), html.unescape(action[1]) if action else "")
            if until is not None and target.startswith(until):
                return page.text, fields
            if "password" in fields:
                if any("Invalid username or password" in one for one in self.shown):
                    return page.text, {}
                fields |= {"username": PERSON, "password": self._password}
            if "accept" in fields:
                fields.pop("cancel", None)
            page = self._http.post(target, data=fields)
        raise AssertionError(page.text)

    def _fields(self, form: str) -> Iterator[tuple[str, str]]:
        for tag in re.findall(r"<(?:input|button)[^>]*>", form, re.I):
            name = re.search(r'name="?([^"\s>]+)', tag, re.I)
            value = re.search(r'value="([^"]*)"', tag, re.I)
            if name:
                yield name[1], html.unescape(value[1]) if value else ""


def maskgate(world: worlds.World, *arguments: str) -> tuple[int, str, str]:
    return commands.run(*arguments, "--url", world.url)


def in_browser(
    world: worlds.World, browser: Browser, opened: str, *options: str
) -> tuple[int, str, str]:
    """`maskgate login` in a process of its own; the browser goes where `opened` finds it told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "login", "--url", world.url, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        told = process.stderr.readline() + process.stderr.readline()
        address = re.search(opened, told)
        assert address, told + process.stderr.read()
        browser.walk(address[1])
        out, err = process.communicate()
    finally:
        timer.cancel()
    return process.returncode, out, told + err


def by_saml(world: worlds.World, browser: Browser) -> tuple[int, str, str]:
    return in_browser(world, browser, r"Open (\S+) in", "--saml", "corp")


def test_a_person_signs_in_by_saml_and_approves(here: worlds.World, keycloak: Keycloak) -> None:
    browser = Browser()
    code, out, err = by_saml(here, browser)
    assert code == 0, err
    assert f"{keycloak.realm}#{PERSON}" in out
    shown = re.search(r"code is (\S+)", err)
    assert shown
    assert any(shown[1] in page for page in browser.shown)
    code, out, _ = maskgate(here, "whoami", "--json")
    who = json.loads(out)[0]
    assert (who["subject"], who["groups"]) == (PERSON, ["data-stewards"])
    body = {"connection": "clinic", "tables": ["*"], "purpose": "try", "duration_s": 600}
    asked = here.call(worlds.AGENT, "POST", "/v1/grants", body).json()
    with Client(here.url, logins.current(here.url)) as client:
        approved = client.post(f"/v1/grants/{asked['id']}/approve", {"reason": "ok"})
    assert approved["decided_by"] == f"{keycloak.realm}#{PERSON}"
    assert maskgate(here, "logout")[0] == 0


def test_a_wrong_password_signs_nobody_in(here: worlds.World, keycloak: Keycloak) -> None:
    address, state = begun(here)
    text, _ = Browser("wrong").walk(address)
    assert "Invalid username or password" in text
    assert state


def begun(world: worlds.World) -> tuple[str, str]:
    """Where a terminal sends its browser."""
    state = "s" * 43
    query = f"code_challenge={'c' * 43}&port=40321&state={state}"
    return f"{world.url}/v1/saml/corp/login?{query}", state


def answer_of(world: worlds.World) -> str:
    """What Keycloak has the browser post."""
    address, _ = begun(world)
    _, fields = Browser().walk(address, until=f"{world.url}/v1/saml/corp/acs")
    return fields["SAMLResponse"]


def sent(world: worlds.World, response: str) -> httpx.Response:
    return httpx.post(f"{world.url}/v1/saml/corp/acs", data={"SAMLResponse": response})


def test_what_keycloak_signed_is_taken_once(here: worlds.World, keycloak: Keycloak) -> None:
    response = answer_of(here)
    assert sent(here, response).status_code == 303
    again = sent(here, response)
    assert (again.status_code, "taken before" in again.text) == (401, True)


@pytest.mark.parametrize(
    ("old", "new", "because"),
    [
        (PERSON, "steward-eve", "does not match any key"),
        ("data-stewards", "auditors", "does not match any key"),
        ("<saml:AttributeValue", "<!-- --><saml:AttributeValue", "comments"),
        ("InResponseTo=", "InReplyTo=", "does not match any key"),
    ],
)
def test_what_keycloak_signed_and_somebody_changed(
    here: worlds.World, keycloak: Keycloak, old: str, new: str, because: str
) -> None:
    text = base64.b64decode(answer_of(here)).decode()
    assert old in text
    refused = sent(here, base64.b64encode(text.replace(old, new).encode()).decode())
    assert (refused.status_code, because in refused.text) == (401, True), refused.text


def test_what_keycloak_signed_without_its_assertion_s_signature(
    here: worlds.World, keycloak: Keycloak
) -> None:
    """Its response is signed as well; that alone does not do."""
    root = etree.fromstring(base64.b64decode(answer_of(here)))
    ds, saml = "http://www.w3.org/2000/09/xmldsig#", "urn:oasis:names:tc:SAML:2.0:assertion"
    assertion = root.find(f"{{{saml}}}Assertion")
    assertion.remove(assertion.find(f"{{{ds}}}Signature"))
    refused = sent(here, base64.b64encode(etree.tostring(root)).decode())
    assert (refused.status_code, "no signature of its own" in refused.text) == (401, True)


def test_the_same_person_by_oidc_is_the_same_identity(
    here: worlds.World, keycloak: Keycloak
) -> None:
    options = ("--issuer", keycloak.realm, "--resource", "", "--scope", "openid")
    code, out, err = in_browser(here, Browser(), r"or open (\S+)", *options)
    assert code == 0, err
    assert f"{keycloak.realm}#{PERSON}" in out
    _, out, _ = maskgate(here, "whoami", "--json")
    assert json.loads(out)[0]["groups"] == ["data-stewards"]


def test_a_program_by_oidc(here: worlds.World, keycloak: Keycloak) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDP_SECRET", SECRET)
        code, out, err = maskgate(
            here, "login", "--issuer", keycloak.realm, "--client-credentials", "--client-secret",
            "env:IDP_SECRET", "--client-id", AGENT, "--resource", "",
        )  # fmt: skip
    assert code == 0, err
    assert f"{keycloak.realm}#service-account-{AGENT}" in out


def test_the_address_that_a_browser_comes_back_to_is_its_own_machine(
    here: worlds.World, keycloak: Keycloak
) -> None:
    address, state = begun(here)
    browser = Browser()
    _, fields = browser.walk(address, until=f"{here.url}/v1/saml/corp/confirm")
    back = browser._http.post(
        f"{here.url}/v1/saml/corp/confirm", data=fields, follow_redirects=False
    )
    assert back.headers["location"].startswith("http://127.0.0.1:40321/?")
    assert parse_qs(urlsplit(back.headers["location"]).query)["state"] == [state]
