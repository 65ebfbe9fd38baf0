"""`maskgate login` and `maskgate logout`: a token for the commands that call a gateway.

The issuer is the one that the gateway names (RFC 9728). Nothing is kept before the gateway has
taken the token; no token and no secret is printed, or read from the command line.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from gateway import logins, oauth, saml_login
from gateway.arguments import DEFAULT_URL, ERR, OUT, Url, optional_name
from gateway.client import Client
from gateway.logins import Login
from gateway.oauth import Issued, Issuer, SignInError, shown
from gateway.proof_key import ProofKey

_METADATA = "/.well-known/oauth-protected-resource"


def login(
    url: Url = DEFAULT_URL,
    issuer: Annotated[
        str | None, typer.Option(help="Which issuer, where the gateway names several.")
    ] = None,
    client_id: Annotated[
        str, typer.Option(envvar="MASKGATE_CLIENT_ID", help="This client's name at the issuer.")
    ] = "maskgate-cli",
    client_credentials: Annotated[
        bool,
        typer.Option("--client-credentials", help="As a program, with --client-secret."),
    ] = False,
    client_secret: Annotated[
        str | None, typer.Option(help="env:NAME or file:PATH; the secret itself is never given.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="The scopes to ask for.")] = None,
    resource: Annotated[
        str | None,
        typer.Option(help="What the token is for (RFC 8707); '' for an issuer that knows none."),
    ] = None,
    dpop: Annotated[
        bool, typer.Option("--dpop", help="Bind the token to a new key, kept with it (RFC 9449).")
    ] = False,
    saml: Annotated[
        str | None,
        typer.Option(
            help="At this SAML provider of the gateway's, in a browser on this machine.",
            callback=optional_name,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="With --saml: where to wait for the browser.", min=0, max=65535)
    ] = 0,
) -> None:
    """Sign in, as a person at a terminal (device flow, or --saml) or as a program; other commands
    use it."""
    if saml is not None:
        if client_credentials or client_secret is not None or issuer is not None or dpop:
            raise typer.BadParameter("--saml goes with --url and --port alone")
        oauth.check_endpoint(url, "--url")
        _keep(url, _by_saml(url, saml, port))
        return
    if client_credentials and client_secret is None:
        raise typer.BadParameter("--client-credentials needs --client-secret env:NAME or file:PATH")
    if client_secret is not None and issuer is None:
        raise typer.BadParameter("--client-secret needs --issuer: no gateway says who is told it")
    place = None if client_secret is None else _place(client_secret)
    oauth.check_endpoint(url, "--url")
    with oauth.open_http() as http:
        found = _metadata(http, url)
        asked = oauth.Client(
            client_id,
            None if place is None else logins.read_secret(place),
            ProofKey.new() if dpop else None,
            scope,
            found.get("resource") if resource is None else resource or None,
        )
        at = Issuer.discover(http, issuer or _only_issuer(found))
        issued = at.client_credentials(asked) if client_credentials else _by_device(at, asked)
    kept = Login(
        url=logins.one_spelling(url),
        issuer=at.issuer,
        client_id=client_id,
        token=issued.token,
        expires_at=issued.expires_at,
        refresh_token=issued.refresh_token,
        secret=place,
        scope=scope,
        resource=asked.resource,
        key=None if asked.key is None else asked.key.document,
    )
    _keep(url, kept, renewed=bool(kept.refresh_token) or client_credentials)


def _keep(url: str, kept: Login, *, renewed: bool = False) -> None:
    """Keep a sign-in that the gateway takes, and say whose it is."""
    with Client(url, kept.bearer) as client:
        who = client.get("/v1/whoami")
    if not isinstance(who, dict) or not isinstance(who.get("identity"), str):
        raise SignInError(f"{url} does not say whose the token is; is it a gateway?")
    name = shown(who["identity"], 1000)
    path = logins.save(kept)
    until = "" if kept.expires_at is None else f" until {_clock(kept.expires_at)}"
    again = ", renewed by itself" if renewed else ""
    OUT.print(Text(f"signed in at {kept.url} as {name}{until}{again}"), soft_wrap=True)
    ERR.print(Text(f"kept in {path}"), soft_wrap=True)


def logout(url: Url = DEFAULT_URL) -> None:
    """Forget the sign-in at a gateway, and tell its issuer where that is possible."""
    known = logins.forget(url)
    if known is None:
        OUT.print(Text(f"nothing was kept for {logins.one_spelling(url)}"), soft_wrap=True)
        return
    said = "its issuer was told"
    try:
        with oauth.open_http() as http:
            if known.saml is not None:
                ended = saml_login.end(http, known.url, known.token)
                said = "the gateway ended it" if ended else "the gateway had ended it"
                OUT.print(Text(f"signed out at {known.url}; {said}"), soft_wrap=True)
                return
            issuer = Issuer.discover(http, known.issuer)
            if issuer.offers("revocation"):
                issuer.revoke(known.refresh_token or known.token, known.client)
            else:
                said = "its issuer takes nothing back: the token is good until it ends"
    except SignInError as error:
        told = "its issuer was not told" if known.saml is None else "the gateway did not end it"
        said = f"{told}: {error}"
    OUT.print(Text(f"signed out at {known.url}; {said}"), soft_wrap=True)


def _by_saml(url: str, name: str, port: int) -> Login:
    gateway = logins.one_spelling(url)
    with oauth.open_http() as http, saml_login.listening(port) as listener:
        ERR.print(
            Text(f"Open {listener.address(gateway, name)} in a browser on this machine"),
            soft_wrap=True,
        )
        ERR.print(Text(f"and confirm there that the code is {listener.user_code}"))
        ERR.print(Text(f"waiting, for {saml_login.WAIT_S / 60:.0f} minutes at most …"))
        signed = listener.finish(http, gateway)
    return Login(
        url=gateway,
        issuer=signed.issuer,
        client_id="",
        token=signed.token,
        expires_at=signed.expires_at,
        saml=name,
    )


def _by_device(issuer: Issuer, client: oauth.Client) -> Issued:
    ask = issuer.start_device(client)
    ERR.print(
        Text(f"Open {ask.verification_uri} and enter the code {ask.user_code}"), soft_wrap=True
    )
    if ask.complete_uri is not None:
        ERR.print(Text(f"or open {ask.complete_uri}"), soft_wrap=True)
    ERR.print(Text(f"waiting, for {ask.life / 60:.0f} minutes at most …"))
    return issuer.finish_device(ask, client)


def _metadata(http: httpx.Client, url: str) -> dict[str, Any]:
    """What the gateway says of itself. Raises SignInError when it is not the one that was asked."""
    answer = oauth.ask(http, "GET", logins.one_spelling(url) + _METADATA)
    try:
        found = answer.json() if answer.status_code == 200 else None
    except (ValueError, RecursionError):
        found = None
    if answer.status_code == 404:
        return {}  # it was not told its own address; --issuer says whom to ask
    if not isinstance(found, dict):
        raise SignInError(f"{url} does not say who its issuers are; is it a gateway?")
    # RFC 9728, section 3.3: a document about another resource is nobody's word about this one.
    if found.get("resource") != logins.one_spelling(url):
        raise SignInError(
            f"{url} calls itself {shown(json.dumps(found.get('resource')))}: use that address"
        )
    return found


def _only_issuer(found: dict[str, Any]) -> str:
    named = found.get("authorization_servers")
    known = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    if len(known) != 1:
        listed = ", ".join(shown(one) for one in known) or "none"
        raise SignInError(f"say which issuer with --issuer; the gateway names: {listed}")
    return known[0]


def _place(value: str) -> str:
    """Where the secret stands, so that it is found from any directory."""
    kind, _, name = value.partition(":")
    return f"file:{Path(name).absolute()}" if kind == "file" and name else value


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
