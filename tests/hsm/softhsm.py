"""SoftHSM, really there: tokens in a folder of their own, and keys made in them as a test wants."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from gateway.pkcs11_uri import KeyUri
from gateway.sessionlog.token import Place

PIN, SO_PIN = "pin-of-a-test", "so-pin-of-a-test"
EDWARDS = bytes.fromhex("06032b6570")
P256 = bytes.fromhex("06082a8648ce3d030107")
_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def module() -> Path:
    """The module's file; MASKGATE_TEST_PKCS11 names one that is elsewhere."""
    asked = os.environ.get("MASKGATE_TEST_PKCS11")
    for place in (asked,) if asked else _PLACES:
        if Path(place).is_file():
            return Path(place).resolve()
    raise RuntimeError("SoftHSM's module is not where it is looked for: set MASKGATE_TEST_PKCS11")


class SoftHsm:
    """Tokens below `home`. SOFTHSM2_CONF must name `conf`, in this process and its children."""

    def __init__(self, home: Path) -> None:
        self.module = module()
        self.tokens, self.conf = home / "tokens", home / "softhsm2.conf"
        self.pin = home / "pin"
        self.tokens.mkdir(parents=True)
        self.conf.write_text(f"directories.tokendir = {self.tokens}\nlog.level = ERROR\n")
        self.pin.touch(mode=0o600)
        self.pin.write_text(PIN + "\n")

    def begin(self) -> None:
        """Have this process's module look at what is there now."""
        library = pkcs11.lib(str(self.module))
        library.finalize()

    def token(self, label: str) -> None:
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label,
             "--pin", PIN, "--so-pin", SO_PIN],
            check=True, capture_output=True, env={**os.environ, "SOFTHSM2_CONF": str(self.conf)},
        )  # fmt: skip
        self.begin()

    def lose(self, kept: Path) -> None:
        """Every token is gone, as pulled out; `restore` puts them back."""
        shutil.move(self.tokens, kept)
        self.tokens.mkdir()

    def restore(self, kept: Path) -> None:
        shutil.rmtree(self.tokens)
        shutil.move(kept, self.tokens)

    def uri(self, token: str, key: str, **more: str) -> str:
        said = "".join(f";{name}={value}" for name, value in more.items())
        named = f"pkcs11:token={token};object={key}{said}"
        return f"{named}?module-path={self.module}&pin-source=file:{self.pin}"

    def place(self, uri: str, pin: str = PIN) -> Place:
        parsed = KeyUri.parse(uri)
        return Place(parsed, Path(parsed.module), lambda: pin)

    def session(self, token: str) -> pkcs11.Session:
        """Logged in, to change what is there."""
        there = pkcs11.lib(str(self.module)).get_token(token_label=token)
        return there.open(rw=True, user_pin=PIN)

    def make(
        self, token: str, label: str, *, id: bytes = b"\1", curve: bytes = EDWARDS, **given: bool
    ) -> bytes:
        """A pair in the token, with the attributes that are given; its public key's bytes."""
        session = self.session(token)
        edwards = curve == EDWARDS
        wanted: dict[Attribute, Any] = {
            Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,
            Attribute.PRIVATE: True, Attribute.SIGN: True,
        }  # fmt: skip
        wanted |= {Attribute[name.upper()]: value for name, value in given.items()}
        public, _ = session.create_domain_parameters(
            KeyType.EC_EDWARDS if edwards else KeyType.EC,
            {Attribute.EC_PARAMS: curve},
            local=True,
        ).generate_keypair(
            store=True,
            label=label,
            id=id,
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else Mechanism.EC_KEY_PAIR_GEN,
            private_template=wanted,
        )
        point = bytes(public[Attribute.EC_POINT])[-32:]
        session.close()
        return point

    def imported(self, token: str, label: str, file: Path) -> None:
        """A key that was in a file before, as the operator's page says."""
        subprocess.run(
            ["softhsm2-util", "--import", str(file), "--token", token, "--label", label,
             "--id", "01", "--pin", PIN],
            check=True, capture_output=True, env={**os.environ, "SOFTHSM2_CONF": str(self.conf)},
        )  # fmt: skip
        self.begin()

    def destroy(self, token: str, label: str, *kinds: ObjectClass) -> None:
        session = self.session(token)
        for kind in kinds or (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
            for one in list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label})):
                one.destroy()
        session.close()
