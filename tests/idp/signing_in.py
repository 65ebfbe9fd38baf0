"""A certified OpenID provider, really started, and a gateway that believes it (`make test-idp`).

The provider is oidc-provider for Node, which the Makefile installs. Signed in as a program and as a
person in a browser; keys rotated; tokens for somebody else, and stolen ones, refused.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "endpoints"))

import world as worlds

import commands
import servers
from gateway import logins
from gateway.client import Client, RefusedError

pytestmark = pytest.mark.usefixtures("home")  # no sign-in of the machine's user is touched
HERE = Path(__file__).parent
AGENT, PERSON, CLI = "agent-reporting", "steward-pat", "maskgate-cli"


class Provider:
    """The provider's process."""

    def __init__(self, installed: Path) -> None:
        self._child = subprocess.Popen(
            ["node", str(HERE / "provider.mjs"), str(installed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        ready = self._line()
        self.issuer: str = ready["issuer"]
        self.secret: str = ready["secret"]

    def rotate(self) -> str:
        """Other keys from now on; the new one's id."""
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return str(self._line()["kid"])

    def _line(self) -> dict[str, Any]:
        """The next line that is ours; the provider has notices of its own."""
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise RuntimeError(f"the provider ended with {self._child.wait()}")

    def end(self) -> None:
        self._child.terminate()
        self._child.communicate()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    started = Provider(Path(os.environ["MASKGATE_TEST_IDP"]))
    yield started
    started.end()


@pytest.fixture(scope="module")
def here(
    newest: servers.Server, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    """A gateway that believes the provider beside the development issuer."""
    with worlds.built(tmp_path_factory.mktemp("idp"), newest, "idp") as built:
        built.write_config(port=int(built.url.rpartition(":")[2]))
        with built.config.open("a") as file:
            file.write(f'[[issuers]]\nissuer = "{provider.issuer}"\n')
        built.restart()
        yield built


def maskgate(world: worlds.World, *arguments: str) -> tuple[int, str, str]:
    return commands.run(*arguments, "--url", world.url)


def as_program(world: worlds.World, provider: Provider, *options: str) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDP_SECRET", provider.secret)
        given = ("--client-credentials", "--client-secret", "env:IDP_SECRET", "--client-id", AGENT)
        return maskgate(world, "login", "--issuer", provider.issuer, *given, *options)


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


class Browser:
    """A person at the provider's pages: follows them, fills in their forms."""

    def __init__(self) -> None:
        self._http = httpx.Client(follow_redirects=True)

    def sign_in(self, address: str, name: str, *, approve: bool = True) -> str:
        """The text of the last page."""
        page = self._http.get(address)
        for _ in range(8):
            form = re.search(r"<form[^>]*>.*?</form>", page.text, re.S)
            if form is None:
                return page.text
            fields = dict(self._fields(form[0]))
            if "login" in fields:
                fields |= {"login": name, "password": "any"}
            declines = 'name="abort"' in page.text and not approve
            if declines:
                fields |= {"abort": "yes"}
            action = re.search(r'action="([^"]+)"', form[0])
            target = urljoin(str(page.url), html.unescape(action[1]) if action else "")
            page = self._http.post(target, data=fields)
            if declines:
                return page.text
        raise AssertionError(page.text)

    def _fields(self, form: str) -> Iterator[tuple[str, str]]:
        for tag in re.findall(r"<input[^>]*>", form):
            name = re.search(r'name="?([^"\s>]+)', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name:
                yield name[1], html.unescape(value[1]) if value else ""

    def close(self) -> None:
        self._http.close()


def as_person(
    world: worlds.World, provider: Provider, *options: str, approve: bool = True
) -> tuple[int, str, str]:
    """`maskgate login` in a process of its own, and the person in his browser."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "login", "--url", world.url, "--issuer", provider.issuer,
         "--client-id", CLI, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    timer = threading.Timer(60, process.kill)
    timer.start()
    browser = Browser()
    try:
        assert process.stderr is not None
        told = process.stderr.readline() + process.stderr.readline()
        complete = re.search(r"or open (\S+)", told)
        assert complete, told + process.stderr.read()
        browser.sign_in(complete[1], PERSON, approve=approve)
        out, err = process.communicate()
    finally:
        timer.cancel()
        browser.close()
    return process.returncode, out, err


def granted(world: worlds.World) -> str:
    """A grant that the agent asks for and the development issuer's steward approves."""
    with Client(world.url, logins.current(world.url)) as client:
        body = {"connection": "clinic", "tables": ["*"], "purpose": "try", "duration_s": 600}
        asked = client.post("/v1/grants", body)
    decided = world.call(
        worlds.STEWARD, "POST", f"/v1/grants/{asked['id']}/approve", {"reason": "ok"}
    )
    assert decided.status_code == 200, decided.text
    return str(asked["id"])


def test_a_program_queries_with_a_token_for_this_gateway(
    here: worlds.World, provider: Provider
) -> None:
    code, out, err = as_program(here, provider)
    assert code == 0, err
    assert f"{provider.issuer}#{AGENT}" in out
    assert claims(logins.current(here.url).token)["aud"] == here.url
    granted(here)
    code, out, err = maskgate(
        here, "query", "clinic", "select id, full_name, city from patient order by id limit 2",
        "--format", "csv",
    )  # fmt: skip
    assert (code, "[REDACTED]" in out, "Planted" in out) == (0, True, False), err


def test_a_person_approves_in_a_browser(here: worlds.World, provider: Provider) -> None:
    code, out, err = as_person(here, provider, "--scope", "openid offline_access query")
    assert code == 0, err
    assert f"{provider.issuer}#{PERSON}" in out
    code, out, _ = maskgate(here, "whoami", "--json")
    who = json.loads(out)[0]
    assert (who["subject"], who["groups"]) == (PERSON, ["data-stewards"])


def test_a_person_who_declines(here: worlds.World, provider: Provider) -> None:
    code, out, err = as_person(here, provider, approve=False)
    assert (code, out, "access_denied" in err) == (1, "", True)


def test_a_token_for_somebody_else_is_refused_and_not_kept(
    here: worlds.World, provider: Provider, home: Path
) -> None:
    for other in ("https://other.example.org", here.url + "/", "http://127.0.0.1:1"):
        code, _, err = as_program(here, provider, "--resource", other)
        assert (code, "another audience" in err) == (1, True), err
    assert not list(home.rglob("*.json"))
    code, _, err = as_program(here, provider, "--resource", "")  # opaque, for nobody in particular
    assert (code, "unauthenticated" in err) == (1, True)


def test_a_bound_token_works_with_its_key_alone(here: worlds.World, provider: Provider) -> None:
    code, _, err = as_program(here, provider, "--dpop")
    assert code == 0, err
    mine = logins.current(here.url)
    assert mine.key is not None
    assert claims(mine.token)["cnf"] == {"jkt": mine.key.thumbprint}
    with Client(here.url, mine) as client:
        assert client.get("/v1/whoami")["subject"] == AGENT
    with Client(here.url, mine.token) as thief, pytest.raises(RefusedError, match="proof"):
        thief.get("/v1/whoami")


def test_rotated_keys(here: worlds.World, provider: Provider) -> None:
    assert as_program(here, provider)[0] == 0
    before = logins.current(here.url)
    provider.rotate()
    code, _, err = as_program(here, provider)
    assert code == 0, err
    after = logins.current(here.url)
    with Client(here.url, after) as client:
        assert client.get("/v1/whoami")["subject"] == AGENT
    with Client(here.url, before) as old, pytest.raises(RefusedError, match="does not publish"):
        old.get("/v1/whoami")
