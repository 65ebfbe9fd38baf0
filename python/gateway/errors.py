"""Every way a request can be refused or fail: one exception a code of the contract.

    MaskgateError
    ├── Refusal                  the request was understood and answered with no
    │   ├── Unauthenticated      401 unauthenticated
    │   ├── Forbidden            403 forbidden
    │   ├── NoGrant              403 no_grant
    │   ├── GrantExpired         403 grant_expired
    │   ├── OutOfScope           403 out_of_scope
    │   ├── StatementRefused     422 statement_refused
    │   ├── ProtectedUse         422 protected_use
    │   ├── NotUnderstood        422 not_understood
    │   ├── InvalidRequest       422 invalid_request
    │   │   └── Ungrouped        the same, with the place of the column that GROUP BY lacks
    │   ├── NotFound             404 not_found
    │   ├── Conflict             409 conflict
    │   ├── NotAcceptable        406 not_acceptable
    │   └── LimitExceeded        429 limit_exceeded
    ├── Failure                  something this gateway depends on failed
    │   ├── UpstreamFailed       502 upstream_failed
    │   ├── IssuerUnavailable    503 issuer_unavailable: tokens cannot be checked (nothing was run)
    │   ├── LogUnavailable       503 log_unavailable (nothing was run)
    │   ├── StoreUnavailable     503 store_unavailable: grants cannot be looked up (nothing was run)
    │   └── Unrepresentable      422 unrepresentable: a value has no Arrow form; breaks the stream
    └── ConfigurationError       names key, value and line; exit code 2

`detail` is a sentence for the caller and never holds a value read from the database; `hint` says
what to write instead.
"""

from __future__ import annotations

from typing import ClassVar


class MaskgateError(Exception):
    """Base of everything this package raises on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The gateway failed"
    #: Seconds after which the same request may be answered otherwise; None when it will not be.
    retry_after: int | None = None

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class Refusal(MaskgateError):
    """The request was understood and answered with no."""


class Unauthenticated(Refusal):
    """`error` is what RFC 6750 (section 3.1) and RFC 9449 (7.1) call it; None: nothing was sent."""

    code = "unauthenticated"
    status = 401
    title = "No valid credential"

    def __init__(
        self, detail: str, *, hint: str | None = None, error: str | None = "invalid_token"
    ) -> None:
        super().__init__(detail, hint=hint)
        self.error = error


class Forbidden(Refusal):
    code = "forbidden"
    status = 403
    title = "Not allowed for this identity"


class NoGrant(Refusal):
    code = "no_grant"
    status = 403
    title = "No grant is in force"


class GrantExpired(Refusal):
    code = "grant_expired"
    status = 403
    title = "The grant has ended"


class OutOfScope(Refusal):
    code = "out_of_scope"
    status = 403
    title = "Outside the scope of the grant"


class StatementRefused(Refusal):
    code = "statement_refused"
    status = 422
    title = "This kind of statement is not run"


class ProtectedUse(Refusal):
    code = "protected_use"
    status = 422
    title = "A protected column is used in a way that could release it"


class NotUnderstood(Refusal):
    code = "not_understood"
    status = 422
    title = "The statement holds something the analysis does not know"


class InvalidRequest(Refusal):
    code = "invalid_request"
    status = 422
    title = "The request is malformed"


class Ungrouped(InvalidRequest):
    """A column that GROUP BY lacks stands at `position`, in characters from 0, in the text."""

    def __init__(self, detail: str, *, position: int) -> None:
        super().__init__(detail)
        self.position = position


class NotFound(Refusal):
    code = "not_found"
    status = 404
    title = "No such thing for this identity"


class Conflict(Refusal):
    code = "conflict"
    status = 409
    title = "The state does not allow this"


class NotAcceptable(Refusal):
    code = "not_acceptable"
    status = 406
    title = "No offered format is acceptable"


class LimitExceeded(Refusal):
    """`retry_after`: seconds until the same request may be answered."""

    code = "limit_exceeded"
    status = 429
    title = "A limit was reached"

    def __init__(self, detail: str, *, hint: str | None = None, retry_after: int = 1) -> None:
        super().__init__(detail, hint=hint)
        self.retry_after = retry_after


class Failure(MaskgateError):
    """Something this gateway depends on failed; the caller did nothing wrong."""


class UpstreamFailed(Failure):
    """The database refused or was lost. `sqlstate_class` is two characters or empty."""

    code = "upstream_failed"
    status = 502
    title = "The database did not answer"

    def __init__(self, detail: str, *, hint: str | None = None, sqlstate_class: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.sqlstate_class = sqlstate_class


class IssuerUnavailable(Failure):
    """Whether the credential is good cannot be told now: its issuer's keys are out of reach."""

    code = "issuer_unavailable"
    status = 503
    title = "The token's issuer cannot be reached; nothing was run"
    retry_after = 5


class LogUnavailable(Failure):
    code = "log_unavailable"
    status = 503
    title = "The session log cannot be written; nothing was run"


class StoreUnavailable(Failure):
    """The control store is away: without it nobody can tell what is granted."""

    code = "store_unavailable"
    status = 503
    retry_after = 5
    title = "The control store cannot tell what is granted; nothing was run"


class Unrepresentable(Failure):
    """A value (NaN, infinity, a date out of range, a nested array) has no Arrow form."""

    code = "unrepresentable"
    status = 422
    title = "A value cannot be represented in the result's type"


class ConfigurationError(MaskgateError):
    """A wrong configuration: the message names key, value and line."""

    code = "configuration"
    title = "The configuration is wrong"
