"""Objects that nobody may change for a time: S3-compatible storage under an Object Lock.

Each object is put with a retention of its own and its SHA-256, and then looked at: what the store
does not show with this lock was not copied. Refuses a bucket without Object Lock. Follows no
setting of the environment: neither proxies nor addresses nor credentials come from there.

Trusted: the store, to keep what it shows as locked. Its answers are told by their code alone.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Literal

from gateway.errors import ConfigurationError
from gateway.sessionlog.errand import FailedError

CONNECT_SECONDS, READ_SECONDS = 5, 30
ANSWER_LIMIT = 1 << 20  # bytes; nothing that is asked has an answer of more than some hundred
_CODE = re.compile(r"[A-Za-z0-9]{1,60}")
_NOTHING = ("NoSuchKey", "AccessDenied")


class RefusedError(FailedError):
    """The store answers, and what it says will be the same tomorrow."""


class NothingError(RefusedError):
    """Nothing is there that we may see: who may not list a bucket is denied what is not there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects go, and for how long they are locked there."""

    bucket: str
    region: str
    endpoint: str | None  # None: that of the region
    prefix: str
    mode: Literal["COMPLIANCE", "GOVERNANCE"]
    days: int
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    ca: Path | None = None

    @property
    def name(self) -> str:
        """Names it to an operator, and in the state that is kept of it."""
        return f"{self.endpoint or self.region}/{self.bucket}/{self.prefix}"


class Bucket:
    """One place. For one thread."""

    def __init__(self, place: Place) -> None:
        """Asks nobody yet. Raises ConfigurationError where the client's package is not there."""
        try:
            boto3, config = (importlib.import_module(n) for n in ("boto3", "botocore.config"))
            sending = importlib.import_module("botocore.httpsession")
            self._errors = importlib.import_module("botocore.exceptions")
        except ImportError:
            raise ConfigurationError(
                "copies need the package boto3: install maskgate[copies]"
            ) from None
        self.place = place
        settings = config.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1},  # who calls tries again, and says so meanwhile
            s3={"addressing_style": "path" if place.endpoint else "virtual"},
            signature_version="s3v4",
            proxies={},
            ignore_configured_endpoint_urls=True,
            # Checksums are given with each object, and not asked for of stores that have none.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            aws_access_key_id=place.access_key,
            aws_secret_access_key=place.secret_key,
            verify=str(place.ca) if place.ca else True,
            config=settings,
        )
        self._session: Any = sending.URLLib3Session(
            verify=str(place.ca) if place.ca else True,
            proxies={},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        self._client.meta.events.register("before-send.s3", self._bounded)
        self._checked = False

    def check(self) -> None:
        """Raises RefusedError unless the bucket is there for us and has an Object Lock, and
        FailedError when nobody can tell now."""
        answer = self._call("get_object_lock_configuration")
        found = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
        if found != "Enabled":
            raise RefusedError(f"bucket {self.place.bucket} has no Object Lock")
        self._checked = True

    def claim(self, name: str, mark: bytes) -> bytes:
        """What stands under this name: `mark`, put there now, where there was nothing."""
        with contextlib.suppress(NothingError):
            return self._read(name)
        self.put(name, mark)
        return self._read(name)

    def _read(self, name: str) -> bytes:
        return bytes(self._call("get_object", Key=self.place.prefix + name)["Body"].read())

    def put(self, name: str, source: bytes | Path) -> None:
        """The object is there with its lock on return. Raises FailedError, and OSError for a file
        that cannot be read. Putting the same once more adds a version of the same bytes."""
        if not self._checked:
            self.check()
        now = datetime.now(UTC).replace(microsecond=0)
        until = now + timedelta(days=self.place.days)
        with _opened(source) as file:
            found, size = hashlib.sha256(), 0
            while piece := file.read(1 << 20):
                found.update(piece)
                size += len(piece)
            file.seek(0)
            digest = base64.b64encode(found.digest()).decode()
            put = self._call(
                "put_object",
                Key=self.place.prefix + name,
                Body=file,
                ContentLength=size,
                ChecksumAlgorithm="SHA256",  # a put under a lock must say which
                ChecksumSHA256=digest,
                ObjectLockMode=self.place.mode,
                ObjectLockRetainUntilDate=until,
            )
        version = {"VersionId": put["VersionId"]} if put.get("VersionId") else {}
        seen = self._call("head_object", Key=self.place.prefix + name, **version)
        kept = seen.get("ObjectLockRetainUntilDate")
        if seen.get("ObjectLockMode") != self.place.mode or not kept or kept < until:
            raise RefusedError(f"the store does not show {name} as locked for so long")
        if seen.get("ContentLength") != size or put.get("ChecksumSHA256", digest) != digest:
            raise FailedError(f"the store has other bytes of {name}")

    def _bounded(self, request: Any, **_: Any) -> Any:
        """What the client would get by itself, but no more of it than ANSWER_LIMIT: the client
        takes a whole answer into memory, several times, whatever its length."""
        request.stream_output = True
        answer = self._session.send(request)
        try:
            body = answer.raw.read(ANSWER_LIMIT + 1)
        except Exception as error:
            raise FailedError(f"the store was not reached: {type(error).__name__}") from None
        if len(body) > ANSWER_LIMIT:
            answer.raw.close()
            raise FailedError("the store's answer is too long")
        return type(answer)(answer.url, answer.status_code, answer.headers, _Body(body))

    def _call(self, method: str, **named: Any) -> Any:
        try:
            return getattr(self._client, method)(Bucket=self.place.bucket, **named)
        except self._errors.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            said = code if _CODE.fullmatch(code) else "an error"
            final = 400 <= status < 500 and status not in (408, 409, 429)
            kind = RefusedError if final else FailedError
            if code in _NOTHING:
                kind = NothingError
            raise kind(f"the store answered {said} ({status})") from None
        except self._errors.BotoCoreError as error:
            raise FailedError(f"the store was not reached: {type(error).__name__}") from None


class _Body(io.BytesIO):
    """An answer's bytes as the client reads them."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _opened(source: bytes | Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
