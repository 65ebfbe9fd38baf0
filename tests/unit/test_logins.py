"""What `maskgate login` keeps: whose file it is, whose folder, and who wrote last."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import cli, logins, oauth
from gateway.logins import Login
from gateway.oauth import SignInError

URL = "https://gw.example.org"
LOGIN = Login(URL, "https://idp.example.org", "cli", "first", 0.0, "r1")


def test_a_sign_in_is_not_undone_by_a_command_that_renews_an_older_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewing, go_on = threading.Event(), threading.Event()

    def renewed(login: Login) -> Login:
        renewing.set()
        assert go_on.wait(30)
        return replace(login, token="renewed", expires_at=None)

    monkeypatch.setattr(logins, "_renewed", renewed)
    logins.save(LOGIN)
    command = threading.Thread(target=logins.current, args=(URL,))
    command.start()
    assert renewing.wait(30)
    newer = replace(LOGIN, token="newer", expires_at=None)
    signing_in = threading.Thread(target=logins.save, args=(newer,))
    signing_in.start()
    signing_in.join(0.5)  # it waits for the command, or is long done
    go_on.set()
    command.join()
    signing_in.join()
    assert logins.load(URL) == newer


@pytest.mark.parametrize("which", ["maskgate", "maskgate/logins"])
@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(
    home: Path, tmp_path: Path, which: str, mode: int
) -> None:
    logins.save(LOGIN)
    (tmp_path / which).chmod(mode)
    for use in (logins.load, logins.current, logins.forget, lambda _: logins.save(LOGIN)):
        with pytest.raises(SignInError, match="others may write"):
            use(URL)


def test_its_folders_are_its_owner_s_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        logins.save(LOGIN)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (home.parent, home)]
    assert modes == [0o700, 0o700]
    assert logins.load(URL) == LOGIN


def test_a_folder_of_somebody_else_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logins.save(LOGIN)
    monkeypatch.setattr(os, "getuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(SignInError, match="others may write"):
        logins.current(URL)


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)


def elsewhere(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.parent / "elsewhere")


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (fifo, ".json"),
        (elsewhere, ".json"),
        (folder, ".json"),
        (elsewhere, ".lock"),
        (folder, ".lock"),
    ],
)
def test_what_is_no_file_is_not_opened(
    home: Path, make: Callable[[Path], None], suffix: str
) -> None:
    path = logins.save(replace(LOGIN, expires_at=None))
    make(path.with_suffix(suffix))
    with pytest.raises(SignInError, match="cannot be"):
        logins.current(URL)
    assert not (home / "elsewhere").exists()


def test_what_cannot_be_written_is_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "maskgate").touch()
    with pytest.raises(SignInError):
        logins.save(LOGIN)


def test_a_secret_goes_to_an_issuer_that_the_caller_names(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a gateway would get it, by naming an issuer of its own."""

    def asked(*_: object, **__: object) -> None:
        raise SignInError("somebody was asked")

    monkeypatch.setattr(oauth, "ask", asked)
    given = ["login", "--url", URL, "--client-credentials", "--client-secret", "env:PATH"]
    refused = CliRunner().invoke(cli.app, given)
    assert refused.exit_code == 2
    assert not isinstance(refused.exception, SignInError)
