"""Time stamps (RFC 3161): somebody else's word that a checkpoint existed at a time.

    timestamps/SIZE.checkpoint  SIZE.AUTHORITY.tsr

A token is kept after it was verified: its imprint is the checkpoint's, its nonce is the one that
was sent, its signer has a certificate for time stamping that leads to a configured root. It is
verified again each time it is read, and one that does not verify counts for nothing. What it proves
of a session: that the session was what it is by then, when the session's last leaf is below SIZE
and the ledger of a bundle goes on from this checkpoint. What it does not: that a certificate had
not been revoked.

The authority learns a hash, and when the gateway asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import rfc3161_client as tsp
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates
from rfc3161_client.errors import VerificationError

from gateway.errors import ConfigurationError
from gateway.sessionlog import disk
from gateway.sessionlog.errand import FailedError
from gateway.sessionlog.note import Checkpoint, Note, NoteError, VerifierKey

FOLDER = "timestamps"
ANSWER_LIMIT = 1 << 16  # bytes
ANSWER_SECONDS = 20.0  # until the whole answer is here
_TIMEOUT = 10.0
_SHA256 = "2.16.840.1.101.3.4.2.1"
_NAME = re.compile(r"([0-9]{16})\.([0-9a-f]{8})\.tsr")


class UnverifiedError(ValueError):
    """A time stamp that proves nothing."""


def roots(path: Path) -> tuple[Certificate, ...]:
    """The certificates of a PEM file. Raises ConfigurationError."""
    try:
        return tuple(load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError):
        raise ConfigurationError(
            f"time stamps: roots {str(path)!r}: not a file of certificates in PEM"
        ) from None


@dataclass(frozen=True, slots=True)
class Authority:
    """Where an authority answers, and the roots that its signer's certificate must lead to."""

    url: str
    roots: tuple[Certificate, ...]
    ca: ssl.SSLContext | None = None  # of its address; None: the usual authorities

    @classmethod
    def parse(cls, url: str, root: Path, ca: Path | None = None) -> Authority:
        """Raises ConfigurationError for a file that holds no certificates."""
        try:
            trusted = None if ca is None else ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(f"time stamps: ca {str(ca)!r}: not a PEM file") from None
        return cls(url, roots(root), trusted)

    @property
    def name(self) -> str:
        """Stands in the names of its tokens."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token that was verified: this checkpoint existed at this time."""

    size: int
    root: bytes
    time: datetime
    token: Path
    checkpoint: Path


@dataclass(frozen=True, slots=True)
class Unverified:
    """One that was not, and why."""

    token: Path
    why: str


def verify(
    reply: bytes, note: bytes, trusted: Sequence[Certificate], nonce: int | None = None
) -> datetime:
    """The time that this reply of an authority states for these bytes.

    Raises UnverifiedError unless the reply is whole, its signer's certificate is for time stamping
    and leads to one of these roots, and imprint and nonce are as asked for.
    """
    try:
        response = tsp.decode_timestamp_response(_ordered(reply))
        if tsp.PKIStatus(response.status) is not tsp.PKIStatus.GRANTED:
            raise UnverifiedError("the authority did not grant it")
        info = response.tst_info
        if info.message_imprint.hash_algorithm.dotted_string != _SHA256:
            raise UnverifiedError("its imprint is of another hash than SHA-256")
        if nonce is not None and info.nonce != nonce:
            raise UnverifiedError("its nonce is not the one that was sent")
        _one_signer(response)
        verifier = tsp.VerifierBuilder(roots=list(dict.fromkeys(trusted))).build()
        verifier.verify(response, hashlib.sha256(note).digest())
        return info.gen_time.astimezone(UTC)
    except UnverifiedError:
        raise
    except VerificationError as reason:
        # Sentences of the package's own, and of OpenSSL's about the chain.
        said = re.sub(r"[^ -~]+", " ", str(reason))[:200]
        raise UnverifiedError(f"it does not verify: {said}") from None
    except Exception as reason:
        raise UnverifiedError(f"it is no time stamp ({type(reason).__name__})") from None


def _ordered(reply: bytes) -> bytes:
    """The same reply with its certificates in the order of DER.

    The package refuses any other, which CMS allows and OpenSSL gives. No signature covers it.
    """
    whole = _parts(reply, 0, len(reply))[0]
    token = _parts(reply, *whole[2:])[1:]
    if not token:
        return reply  # a refusal has none
    content = _parts(reply, *token[0][2:])[1]
    signed = _parts(reply, *content[2:])[0]
    for tag, _, begin, end in _parts(reply, *signed[2:]):
        if tag == 0xA0:
            found = [reply[at:stop] for _, at, _, stop in _parts(reply, begin, end)]
            return reply[:begin] + b"".join(sorted(found)) + reply[end:]
    return reply


def _parts(data: bytes, at: int, end: int) -> list[tuple[int, int, int, int]]:
    """The elements that stand here: tag, where it begins, its content begins, and it ends."""
    found = []
    while at < end:
        tag, length, begin = data[at], data[at + 1], at + 2
        if length > 0x80:
            begin += length & 0x7F
            length = int.from_bytes(data[at + 2 : begin])
        if length == 0x80 or begin + length > end:
            raise UnverifiedError("it is no time stamp in DER")
        found.append((tag, at, begin, begin + length))
        at = begin + length
    return found


def _one_signer(response: tsp.TimeStampResponse) -> None:
    """Raises UnverifiedError unless one certificate in it can be the signer's: of two with one
    issuer and number, the one whose purpose is looked at need not be the one that signed."""
    signed = response.signed_data
    names = [(one.issuer, one.serial_number) for one in signed.signer_infos]
    known = [load_der_x509_certificate(one) for one in signed.certificates]
    if len(names) != 1 or [(one.issuer, one.serial_number) for one in known].count(names[0]) != 1:
        raise UnverifiedError("it does not name one signer with one certificate")


class Stamper:
    """Asks one authority for the newest checkpoint. For one thread; `stamp` is an errand."""

    def __init__(
        self, directory: Path, authority: Authority, newest: Callable[[], Checkpoint | None]
    ) -> None:
        self._home, self._authority, self._newest = directory / FOLDER, authority, newest
        self._last = 0  # size of the newest checkpoint that was stamped

    def stamp(self) -> None:
        """The token is verified and durable on return; nothing is asked for what has one.

        Raises FailedError, or whatever the network raises.
        """
        checkpoint = self._newest()
        if checkpoint is None or checkpoint.size <= self._last:
            return
        request = (
            tsp.TimestampRequestBuilder()
            .data(checkpoint.note)
            .hash_algorithm(tsp.HashAlgorithm.SHA256)
            .nonce(nonce=True)
            .cert_request(cert_request=True)
            .build()
        )
        reply = self._ask(request.as_bytes())
        try:
            verify(reply, checkpoint.note, self._authority.roots, request.nonce)
        except UnverifiedError as reason:
            raise FailedError(f"its answer is not kept: {reason}") from None
        disk.make_directory(self._home)
        name = f"{checkpoint.size:016d}"
        disk.replace(self._home / f"{name}.checkpoint", checkpoint.note)
        disk.replace(self._home / f"{name}.{self._authority.name}.tsr", reply)
        self._last = checkpoint.size

    def _ask(self, query: bytes) -> bytes:
        """The whole answer, or FailedError after ANSWER_SECONDS, whatever came in them."""
        return asyncio.run(self._answer(query))

    async def _answer(self, query: bytes) -> bytes:
        """Follows no redirection, and heeds no proxy of the environment."""
        fields = {"Content-Type": "application/timestamp-query", "Accept-Encoding": "identity"}
        answer = bytearray()
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                httpx.AsyncClient(
                    timeout=_TIMEOUT,
                    follow_redirects=False,
                    trust_env=False,
                    verify=self._authority.ca or True,
                ) as client,
                client.stream("POST", self._authority.url, content=query, headers=fields) as reply,
            ):
                if reply.status_code != 200:
                    raise FailedError(f"it answered {reply.status_code}")
                # Raw: a compressed answer was not asked for and could unfold beyond the limit.
                async for piece in reply.aiter_raw():
                    answer += piece
                    if len(answer) > ANSWER_LIMIT:
                        raise FailedError("its answer is too long")
        except TimeoutError:
            raise FailedError("its answer takes too long") from None
        return bytes(answer)


def tokens(directory: Path) -> list[tuple[int, str, Path]]:
    """The tokens in a log's directory by size of their checkpoint: it, who made it, the file."""
    return [
        (int(named[1]), named[2], path)
        for path in sorted((directory / FOLDER).glob("*.tsr"))
        if (named := _NAME.fullmatch(path.name))
    ]


def note_of(token: Path, size: int) -> Path:
    """The file of the checkpoint that a token stamps."""
    return token.with_name(f"{size:016d}.checkpoint")


def kept(
    directory: Path, origin: str, key: VerifierKey, trusted: Sequence[Certificate]
) -> tuple[list[Stamp], list[Unverified]]:
    """What is kept in a log's directory: each token verified again, by size of its checkpoint."""
    good: list[Stamp] = []
    bad: list[Unverified] = []
    for path in sorted((directory / FOLDER).glob("*.tsr")):
        try:
            good.append(_kept(path, origin, key, trusted))
        except (UnverifiedError, NoteError, OSError) as reason:
            said = reason.strerror if isinstance(reason, OSError) else str(reason)
            bad.append(Unverified(path, str(said)))
    return good, bad


def _kept(path: Path, origin: str, key: VerifierKey, trusted: Sequence[Certificate]) -> Stamp:
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise UnverifiedError("its name is none of a time stamp")
    checkpoint = note_of(path, int(found[1]))
    note = checkpoint.read_bytes()
    parsed = Note.parse(note)
    parsed.signed_by((key,))
    if parsed.origin != origin or parsed.size != int(found[1]):
        raise UnverifiedError("its checkpoint is not that of its name")
    if not trusted:
        raise UnverifiedError("there are no roots to verify it by")
    return Stamp(
        parsed.size, parsed.root, verify(path.read_bytes(), note, trusted), path, checkpoint
    )


def first_over(stamps: Sequence[Stamp], leaf: int) -> Stamp | None:
    """The earliest of those whose checkpoint has this leaf; None when there is none yet."""
    over = [one for one in stamps if one.size > leaf]
    return min(over, key=lambda one: (one.time, one.size), default=None)


# Commands that a test runs as they stand here.
README = """\
{token} is an RFC 3161 time stamp over {checkpoint}, a checkpoint of the
log {origin} with {size} leaves. The time it states: {time}.

1. Get the root certificate of the time-stamping authority from the authority itself. Then

     openssl ts -verify -in {token} -data {checkpoint} -CAfile ROOTS.pem

   must say "Verification: OK", and the time is in

     openssl ts -reply -in {token} -text

2. To know that a session was what its bundle says by that time, remember this checkpoint

     python3 -c "import base64 as b; o, n, r = open('{checkpoint}').read().split('\\n')[:3]; print(o, n, b.b64decode(r).hex())" > remember.txt

   ask for a bundle that goes on from it

     maskgate sessions export SESSION --since {size} -o session.zip

   and verify that with a verify.py and a trust file of your own:

     python3 -I verify.py session.zip --trust trust.json --remember remember.txt

   Verdict 0, and in the last line of its ledger/leaves.jsonl an "index" below {size}: then the
   whole session was under the checkpoint that was stamped.
"""  # noqa: E501


def export(stamp: Stamp, origin: str, folder: Path) -> list[str]:
    """Write the token, its checkpoint and what to do with them; the names written."""
    folder.mkdir(parents=True, exist_ok=True)
    text = README.format(
        token=stamp.token.name,
        checkpoint=stamp.checkpoint.name,
        origin=origin,
        size=stamp.size,
        time=f"{stamp.time:%Y-%m-%dT%H:%M:%SZ}",
    )
    files = {path.name: path.read_bytes() for path in (stamp.token, stamp.checkpoint)}
    files["README.txt"] = text.encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)
