"""What the analysis needs of the transaction that will run the statement; `upstream` has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from gateway.model import Parsed, Question

T = TypeVar("T")


class Server(Protocol):
    """A read-only transaction, which holds the locks of every Parse to its end."""

    @property
    def server_major(self) -> int: ...

    async def parse(
        self,
        text: str,
        question: Question | None = None,
        meanwhile: Callable[[str], None] | None = None,
    ) -> Parsed: ...

    async def fetch(self, query: str, *args: object) -> list[Any]: ...

    def before_rows(self, *settings: str) -> None: ...

    async def mark(self) -> None: ...

    async def return_to_mark(self) -> None: ...

    async def once(self, load: Callable[[Server], Awaitable[T]]) -> T: ...
