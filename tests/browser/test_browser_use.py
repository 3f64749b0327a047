"""The action for browser-use: the real package, a real Chromium, and a model that is scripted."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.sdk import AsyncAgentSDK
from auth_agent.sdk.browser_use import add_sign_in
from tests.browser.test_cdp import run_chromium, signed_in_at
from tests.browser.test_sdk_page import options
from tests.sdk.conftest import run_async

browser_use = pytest.importorskip(
    "browser_use",
    reason="browser-use is not installed; it is too heavy for the test group: "
    "pip install -e '.[browser-use,server,starlette]' --group test, in an environment of its own",
)
pytestmark = pytest.mark.filterwarnings("default")


class Script:
    """A model that answers with the next action, whatever it is shown."""

    model = "scripted"
    provider = "scripted"
    name = "scripted"
    model_name = "scripted"
    _verified_api_keys = True

    def __init__(self, *actions: dict[str, Any]) -> None:
        self.actions = list(actions)
        self.seen = ""

    async def ainvoke(self, messages: Any, output_format: Any = None, **kwargs: Any) -> Any:
        from browser_use.llm.views import ChatInvokeCompletion

        self.seen += repr(messages)
        answer = {"evaluation_previous_goal": "", "memory": "", "next_goal": "",
                  "thinking": "", "action": [self.actions.pop(0)]}  # fmt: skip
        return ChatInvokeCompletion(completion=output_format.model_validate(answer), usage=None)


DONE = {"done": {"text": "done", "success": True}}


def play(world, cdp_url, url):
    script = Script({"sign_in_with_auth_agent": {"url": url}}, DONE)

    async def main():
        tools = add_sign_in(browser_use.Tools(), AsyncAgentSDK(**options(world)))
        session = browser_use.BrowserSession(cdp_url=cdp_url)
        agent = browser_use.Agent(task="Sign in", llm=script, tools=tools, browser_session=session,
                                  use_vision=False, enable_signal_handler=False)  # fmt: skip
        return await agent.run(max_steps=3)

    return run_async(main), script


@pytest.fixture
def cdp_url(chromium, tmp_path):
    with run_chromium(tmp_path / "profile") as url:
        yield url


def test_a_model_signs_in(world, cdp_url, monkeypatch):
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "false")
    history, script = play(world, cdp_url, f"{world.site}/private/report")
    assert f"Signed in to {world.site}" in repr(history.extracted_content())
    assert world.agent_secret not in script.seen + repr(history)
    assert signed_in_at(cdp_url, world.site)


def test_a_refusal_is_one_line_for_the_model(world, cdp_url, monkeypatch):
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "false")
    history, _ = play(world, cdp_url, "http://shop.example/")
    assert "insecure_url" in repr(history.errors())
