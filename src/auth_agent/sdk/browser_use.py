"""The sign-in as an action of browser-use: an agent signs in, in the browser that it drives.

tools = add_sign_in(Tools(), AsyncAgentSDK(agent_id="agent_…", private_key="agent.pem", …))
Agent(task="…", llm=llm, tools=tools)
"""

from typing import Any

from auth_agent.errors import AuthError
from auth_agent.extras import install_hint
from auth_agent.sdk.async_agent import AsyncAgentSDK
from auth_agent.sdk.text import one_line

__all__ = ["add_sign_in"]

DESCRIPTION = (
    "Sign in to a website that says 'Sign in with Auth Agent', under an identity of your own. "
    "Give the URL of the page that you need. Without a URL, the waiting page in an open tab is "
    "answered. You need no password: never type one."
)
MAX_ERROR = 500


def add_sign_in(tools: Any, sdk: AsyncAgentSDK) -> Any:
    """Adds the action `sign_in_with_auth_agent` to browser-use's `Tools`, and returns them.

    The model sees no credential. Raises `ModuleNotFoundError` without the extra `browser-use`.
    """
    try:
        from browser_use import ActionResult, BrowserSession  # noqa: PLC0415
    except ModuleNotFoundError as error:
        text = f"This needs the package browser-use. Install it with: {install_hint('browser-use')}"
        raise ModuleNotFoundError(text, name=error.name) from None

    @tools.action(DESCRIPTION)  # type: ignore[untyped-decorator, unused-ignore]
    async def sign_in_with_auth_agent(
        browser_session: BrowserSession, url: str | None = None
    ) -> ActionResult:
        try:
            found = await sdk.sign_in_cdp(browser_session.cdp_url or "", url)
        except AuthError as error:
            text = one_line(f"Not signed in ({error.code}): {error.description}", MAX_ERROR)
            return ActionResult(error=text)
        text = f"Signed in to {found.website}. Go on there: {found.url.partition('?')[0]}"
        return ActionResult(extracted_content=text, long_term_memory=text)

    return tools
