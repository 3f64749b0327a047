"""The result of a sign-in: a client with the website's session."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from auth_agent.sdk.flow.effects import Step

if TYPE_CHECKING:
    import httpx2

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class _SignedIn(Generic[C]):
    """`client` carries the website's cookies and takes paths of the website.

    `response` is the page that the sign-in ended on, at `url`; `steps` lists what happened.
    """

    client: C
    url: str
    response: httpx2.Response
    steps: tuple[Step, ...]
    owns_client: bool = field(default=True, kw_only=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url.partition('?')[0]})"


class SignedIn(_SignedIn["httpx2.Client"]):
    """Use it in a `with` statement, or close it; a client that was given stays open."""

    __slots__ = ()

    def close(self) -> None:
        if self.owns_client:
            self.client.close()

    def __enter__(self) -> SignedIn:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncSignedIn(_SignedIn["httpx2.AsyncClient"]):
    """Use it in an `async with` statement, or close it; a client that was given stays open."""

    __slots__ = ()

    async def aclose(self) -> None:
        if self.owns_client:
            await self.client.aclose()

    async def __aenter__(self) -> AsyncSignedIn:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
