"""The log's key in a token of SoftHSM: what it signs, and the keys and PINs that are refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pkcs11 import Attribute, ObjectClass
from softhsm import P256, PIN, SoftHsm

from gateway.errors import ConfigurationError, LogUnavailable
from gateway.pkcs11_uri import KeyUri
from gateway.sessionlog import SessionLog, survey, token
from gateway.sessionlog.token import Place, TokenKey

GOOD = ("clinic", "log")


def test_the_token_signs_and_the_signature_is_anybodys_to_verify(hsm: SoftHsm) -> None:
    public = hsm.make(*GOOD)
    key = TokenKey(hsm.place(hsm.uri(*GOOD)))
    assert key.public_key().public_bytes_raw() == public
    for message in (b"", b"a checkpoint", bytes(100_000)):
        Ed25519PublicKey.from_public_bytes(public).verify(key.sign(message), message)
    key.close()


def test_a_generated_key_is_taken_and_never_made_twice(hsm: SoftHsm) -> None:
    place = hsm.place(hsm.uri(*GOOD))
    place.generate()
    key = TokenKey(place)
    before = key.public_key().public_bytes_raw()
    key.close()
    with pytest.raises(ConfigurationError, match="'log' in token 'clinic': there is one"):
        place.generate()
    # Half a pair is one, too: its other half may be all that a log has left.
    hsm.destroy(*GOOD, ObjectClass.PRIVATE_KEY)
    with pytest.raises(ConfigurationError, match="there is one"):
        place.generate()
    hsm.destroy(*GOOD)
    place.generate()
    key = TokenKey(place)
    assert key.public_key().public_bytes_raw() != before
    key.close()


def test_a_key_by_its_id_and_a_token_by_its_serial_number(hsm: SoftHsm) -> None:
    hsm.make(*GOOD, id=b"\1")
    public = hsm.make(*GOOD, id=b"\2\xff")
    place = hsm.place(hsm.uri(*GOOD, id="%02%FF"))
    key = TokenKey(place)
    serial = key._session.token.serial.decode()
    key.close()
    query = hsm.uri(*GOOD).partition("?")[2]
    key = TokenKey(hsm.place(f"pkcs11:serial={serial};id=%02%ff;type=private?{query}"))
    assert key.public_key().public_bytes_raw() == public
    key.close()
    with pytest.raises(ConfigurationError, match="no such token is there"):
        TokenKey(hsm.place(f"pkcs11:serial=0{serial};id=%02%ff?{query}"))


def nothing(hsm: SoftHsm) -> None:
    pass


def of_another_pair(hsm: SoftHsm) -> None:
    hsm.make("clinic", "log")
    hsm.destroy("clinic", "log", ObjectClass.PUBLIC_KEY)
    hsm.make("clinic", "other")
    session = hsm.session("clinic")
    wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: "other"}
    (public,) = list(session.get_objects(wanted))
    public[Attribute.LABEL] = "log"
    session.close()


def public_gone(hsm: SoftHsm) -> None:
    hsm.make("clinic", "log")
    hsm.destroy("clinic", "log", ObjectClass.PUBLIC_KEY)


def twice(hsm: SoftHsm) -> None:
    hsm.make("clinic", "log", id=b"\1")
    hsm.make("clinic", "log", id=b"\2")


def token_twice(hsm: SoftHsm) -> None:
    hsm.make("clinic", "log")
    hsm.token("clinic")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (nothing, "no private key is named so"),
        (lambda hsm: hsm.make("clinic", "Log"), "no private key is named so"),
        (lambda hsm: hsm.make("clinic", "log", extractable=True), r"extractable: .*\(CKA_EXTRACT"),
        (lambda hsm: hsm.make("clinic", "log", sensitive=False), r"not sensitive: .*\(CKA_SENSIT"),
        (lambda hsm: hsm.make("clinic", "log", private=False), r"not private: .*\(CKA_PRIVATE\)"),
        (lambda hsm: hsm.make("clinic", "log", sign=False), r"may not sign \(CKA_SIGN\)"),
        (lambda hsm: hsm.make("clinic", "log", always_authenticate=True), "PIN at each signature"),
        (lambda hsm: hsm.make("clinic", "log", curve=P256), "not an Ed25519 key"),
        (twice, "2 private keys match"),
        (public_gone, "no public key is named so"),
        (of_another_pair, "does not verify by the public key beside it"),
        (token_twice, "2 tokens are named so"),
    ],
)
def test_a_key_that_is_not_the_one_is_refused(
    hsm: SoftHsm, made: Callable[[SoftHsm], object], said: str
) -> None:
    made(hsm)
    with pytest.raises(ConfigurationError, match=f"key 'log' in token 'clinic'.*{said}"):
        TokenKey(hsm.place(hsm.uri(*GOOD)))


def test_a_wrong_pin_is_tried_once_and_told_to_nobody(hsm: SoftHsm) -> None:
    hsm.make(*GOOD)
    tried: list[str] = []

    def pin() -> str:
        tried.append("wrong-pin")
        return tried[-1]

    place = Place(KeyUri.parse(hsm.uri(*GOOD)), hsm.module, pin)
    with pytest.raises(ConfigurationError, match=r"refuses the PIN \(PinIncorrect\)") as wrong:
        TokenKey(place)
    assert len(tried) == 1
    assert "wrong-pin" not in wrong.value.detail


def test_a_token_that_is_not_there(hsm: SoftHsm) -> None:
    with pytest.raises(ConfigurationError, match="token 'hospital': no such token is there"):
        TokenKey(hsm.place(hsm.uri("hospital", "log")))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", r"module .*none\.so: No such file"),
        ("not one", r"module .*none\.so: cannot be loaded: (invalid ELF header|file too short)"),
        ("anybody's", r"module .*none\.so: its code runs in the gateway, and its mode is 0666"),
        ("a folder", r"module .*none\.so: its code runs"),
    ],
)
def test_a_module_that_is_none(hsm: SoftHsm, tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "none.so"
    if kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(bytes(4096))
        path.chmod(0o666 if kind == "anybody's" else 0o644)
    with pytest.raises(ConfigurationError, match=said):
        TokenKey(Place(KeyUri.parse(hsm.uri(*GOOD)), path, lambda: PIN))


def test_a_session_that_is_lost_is_opened_again_once(hsm: SoftHsm) -> None:
    hsm.make(*GOOD)
    logins: list[str] = []

    def pin() -> str:
        logins.append(PIN)
        return PIN

    key = TokenKey(Place(KeyUri.parse(hsm.uri(*GOOD)), hsm.module, pin))
    key._session.close()
    key.public_key().verify(key.sign(b"after it"), b"after it")
    key.sign(b"and on")
    assert len(logins) == 2
    key.close()


def test_a_token_that_goes_away_is_asked_no_more(hsm: SoftHsm, tmp_path: Path) -> None:
    hsm.make(*GOOD)
    asked: list[str] = []

    def pin() -> str:
        asked.append(PIN)
        return PIN

    place = Place(KeyUri.parse(hsm.uri(*GOOD)), hsm.module, pin)
    key = TokenKey(place)
    hsm.lose(tmp_path / "kept")
    gone = r"does not sign \(.*\), nor after a new login: .*no such token is there"
    with pytest.raises(LogUnavailable, match=gone):
        key.sign(b"gone")
    hsm.restore(tmp_path / "kept")
    # Each would be a login, and of a wrong PIN perhaps one too many.
    with pytest.raises(LogUnavailable, match=gone):
        key.sign(b"back")
    assert len(asked) == 2
    hsm.begin()
    again = TokenKey(place)
    again.public_key().verify(again.sign(b"back"), b"back")
    again.close()


def test_another_key_of_that_name_does_not_sign_in_its_place(hsm: SoftHsm, tmp_path: Path) -> None:
    hsm.make(*GOOD)
    key = TokenKey(hsm.place(hsm.uri(*GOOD)))
    key._session.close()
    hsm.destroy(*GOOD)
    hsm.make(*GOOD)
    with pytest.raises(LogUnavailable, match="it is another key than at the start"):
        key.sign(b"a checkpoint")


def test_a_signature_that_does_not_verify_is_not_used(hsm: SoftHsm) -> None:
    hsm.make(*GOOD)
    hsm.make("clinic", "other")
    key = TokenKey(hsm.place(hsm.uri(*GOOD)))
    other = hsm.place(hsm.uri("clinic", "other"))
    key._key = token._only(other, key._session, ObjectClass.PRIVATE_KEY)
    with pytest.raises(LogUnavailable, match="does not verify by the public key"):
        key.sign(b"a checkpoint")
    key.close()


async def test_a_log_whose_key_was_a_file_goes_on_in_a_token(hsm: SoftHsm, tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path / "log", origin="log.example.org", version="0")
    vkey = log.vkey
    await log.aclose()
    hsm.imported(*GOOD, tmp_path / "log" / "key")
    (tmp_path / "log" / "key").unlink()
    key = TokenKey(hsm.place(hsm.uri(*GOOD)))
    log = SessionLog.open(tmp_path / "log", origin="log.example.org", version="0", held=key)
    assert log.vkey == vkey
    await log.aclose()
    found = survey.survey(tmp_path / "log", "log.example.org", key)
    assert (found.wrong, found.epochs) == ([], 2)
    key.close()


def test_threads_sign_one_after_the_other(hsm: SoftHsm) -> None:
    """Each signature is verified inside: two calls at once would mix them up, or worse."""
    hsm.make(*GOOD)
    key = TokenKey(hsm.place(hsm.uri(*GOOD)))
    made: list[bytes] = []

    def work(number: int) -> None:
        made.extend(key.sign(f"{number} {count}".encode()) for count in range(50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16 * 50
    key.close()


def test_no_error_repeats_the_pin(hsm: SoftHsm) -> None:
    key = hsm.place(hsm.uri(*GOOD))
    assert not re.search(PIN, repr(key))
