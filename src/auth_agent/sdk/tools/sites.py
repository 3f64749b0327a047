"""The websites that an agent's process is signed in to: one session and one lock for each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urldefrag, urlsplit

import anyio

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.async_agent import AsyncAgentSDK
from auth_agent.sdk.exchange.journey import PAGE, check_hop
from auth_agent.sdk.flow import drive
from auth_agent.sdk.signed_in import AsyncSignedIn
from auth_agent.sdk.text import one_line
from auth_agent.sdk.tools.acts import Acts, nothing_to_ask, owner_needed
from auth_agent.sdk.tools.deadline import waits, within
from auth_agent.sdk.tools.pages import MAX_URL, Page, read_page
from auth_agent.sdk.tools.visit import Visited, build_request, visit
from auth_agent.secret import Secret
from auth_agent.url import is_loopback, normal_origin

MAX_SITES = 100
SIGN_IN_SECONDS = 60.0  # for one call, everything included
FETCH_SECONDS = 30.0
LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Identity:
    """Which agent a website sees; `signed_in` was tried just now."""

    signed_in: bool
    website: str
    agent_id: str
    model: str | None
    issuer: str


class _Site:
    """A website: its session, if there is one, and the lock of a sign-in."""

    def __init__(self) -> None:
        self.session: AsyncSignedIn | None = None
        self.approval: Secret | None = None
        """The token of an act that the owner has approved; for one request."""
        self.demanded: Acts = []
        """What the owner would have to approve, as the last answer said."""
        self.lock = anyio.Lock()


class Sites:
    """Sessions by website, at most 100; the one that was not used for longest is closed first."""

    def __init__(self, sdk: AsyncAgentSDK, *, cdp_url: str | None = None) -> None:
        self._sdk = sdk
        self._cdp_url = cdp_url
        self._sites: OrderedDict[str, _Site] = OrderedDict()

    async def sign_in(self, url: str, *, cdp_url: str | None = None) -> Page:
        """Returns the page, with an existing session or after a sign-in."""
        website = _website(url)
        self._check_loopback(website)
        cdp_url = self._checked_cdp(cdp_url)
        async with within(SIGN_IN_SECONDS) as scope:
            if cdp_url is not None:
                return await self._sign_in_browser(website, url, cdp_url)
            site = await self._site(website)
            async with site.lock:
                if site.session is not None:
                    found = await self._visit(site.session, website, _get(url), LOOK_SECONDS)
                    if found.response is not None:
                        return self._page(website, found.url, found.response)
                    await _close(site)
                session = await self._sdk.sign_in(url, within=SIGN_IN_SECONDS, on_step=waits(scope))
                await self._keep(session)
            answer = session.response
            headers = {name.lower(): value for name, value in answer.headers.items()}
            page = HttpResponse(answer.status_code, headers, answer.content)
            return self._page(normal_origin(session.url), session.url, page)

    async def fetch(self, url: str, method: str, form: Mapping[str, str] | None) -> Page:
        """Sends one request inside the session; raises `not_signed_in` if there is none."""
        website = _website(url)
        request = build_request(urldefrag(url).url, method, form)
        async with within(FETCH_SECONDS):
            site = self._sites.get(website)
            session = None if site is None else site.session
            if site is None or session is None:
                raise _not_signed_in(website)
            self._sites.move_to_end(website)
            token = None
            if request.method != "GET":
                token, site.approval = site.approval, None
            found = await self._visit(session, website, request, FETCH_SECONDS, token)
            site.demanded = found.acts
            if found.acts:
                raise owner_needed(website, found.acts)
            if found.response is None:
                raise _not_signed_in(website)
            return self._page(website, found.url, found.response)

    async def ask_owner(self, url: str, message: str | None = None) -> str:
        """Asks the owner about what the website has refused last; returns its title.

        The next request there that changes something brings the approval. Raises
        `nothing_to_ask`, `owner_denied`, `owner_silent`.
        """
        website = _website(url)
        site = self._sites.get(website)
        if site is None or not site.demanded:
            raise nothing_to_ask(website)
        acts, site.demanded = site.demanded, []  # another call does not ask about them, too
        try:
            tokens = await self._sdk.ask_owner(acts, resource=website, message=message)
        except BaseException:
            site.demanded = site.demanded or acts
            raise
        site.approval = Secret(tokens.access_token)
        return one_line(acts[0]["title"], 200)

    async def identity(self, url: str) -> Identity:
        """Tries the session, without waiting for a sign-in that is under way."""
        website = _website(url)
        site = self._sites.get(website)
        session = None if site is None else site.session
        alive = False
        if session is not None:
            async with within(LOOK_SECONDS):
                found = await self._visit(session, website, _get(session.url), LOOK_SECONDS)
            alive = found.response is not None
        options = self._sdk.options
        return Identity(alive, website, options.agent_id, options.model, options.server_url)

    async def aclose(self) -> None:
        for site in self._sites.values():
            await _close(site)
        self._sites.clear()

    async def _sign_in_browser(self, website: str, url: str, cdp_url: str) -> Page:
        found = await self._sdk.sign_in_cdp(cdp_url, url, within=SIGN_IN_SECONDS)
        agent_id = self._sdk.options.agent_id
        text = f"The browser is signed in to {found.website} now; go on there."
        where = one_line(found.url.partition("?")[0], MAX_URL)
        return Page(True, website, where, 200, agent_id, text)

    async def _keep(self, session: AsyncSignedIn) -> None:
        """Keeps a session under its website, which an authorization request names by itself."""
        site = await self._site(normal_origin(session.url))
        await _close(site)
        site.session = session

    async def _site(self, website: str) -> _Site:
        site = self._sites.setdefault(website, _Site())
        self._sites.move_to_end(website)
        while len(self._sites) > MAX_SITES:
            _, oldest = self._sites.popitem(last=False)
            await _close(oldest)
        return site

    async def _visit(
        self,
        session: AsyncSignedIn,
        website: str,
        request: HttpRequest,
        within: float,
        token: Secret | None = None,
    ) -> Visited:
        """Sends a request, with the token of an act that the owner has approved."""

        def credentials(url: str, method: str) -> dict[str, str]:
            return {} if token is None else self._sdk.token_headers(token.reveal(), url, method)

        try:
            flow = visit(request, website, within=within, credentials=credentials)
            return await drive.arun(flow, session.client)
        except RuntimeError:
            if session.client.is_closed:  # another call found the session over meanwhile
                return Visited(request.url, None)
            raise

    def _page(self, website: str, url: str, response: HttpResponse) -> Page:
        return read_page(website, url, response, self._sdk.options.agent_id)

    def _check_loopback(self, website: str) -> None:
        """Raises before a model that a page has talked into it asks a service of this machine."""
        options = self._sdk.options
        listed = {normal_origin(origin) for origin in options.allowed_websites}
        hosts = [urlsplit(issuer).hostname for issuer in options.issuers]
        if website in listed or any(is_loopback(host) for host in hosts):
            return
        if is_loopback(urlsplit(website).hostname):
            raise AuthError(
                f"{one_line(website)} is a service of this machine, and the agent's server is "
                "not. To let the model use it, list it in AUTH_AGENT_AGENT_WEBSITES.",
                code="insecure_url",
            )

    def _checked_cdp(self, given: str | None) -> str | None:
        """Takes the operator's browser, else one that a model names on this machine only.

        A browser elsewhere could show any request as a website's own.
        """
        if not given or given == self._cdp_url:
            return self._cdp_url
        try:
            parts = urlsplit(given)
            is_here = parts.scheme in ("http", "ws") and is_loopback(parts.hostname)
        except ValueError:
            is_here = False
        if not is_here:
            raise AuthError(
                "cdp_url is not the address of a browser on this machine, e.g. "
                "http://127.0.0.1:9222.",
                code="insecure_url",
            )
        return given


def _website(url: str) -> str:
    url = urldefrag(url).url
    check_hop(url)
    return normal_origin(url)


def _get(url: str) -> HttpRequest:
    return HttpRequest("GET", urldefrag(url).url, (PAGE,))


async def _close(site: _Site) -> None:
    session, site.session = site.session, None
    if session is not None:
        await session.aclose()


def _not_signed_in(website: str) -> AuthError:
    return AuthError(
        f"There is no session at {one_line(website)}: call sign_in_with_auth_agent first.",
        code="not_signed_in",
        status_code=401,
    )
