"""The agent's side: sign in to websites with an identity of its own.

sdk = AgentSDK(agent_id="agent_…", agent_secret="ags_…", server_url="https://auth.example")
with sdk.sign_in("https://shop.example/me") as site:
    site.client.get("/orders")          # an httpx2.Client with the website's cookies
"""

from auth_agent.sdk.agent import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.flow import Step
from auth_agent.sdk.signed_in import AsyncSignedIn, SignedIn

__all__ = ["AgentSDK", "AsyncAgentSDK", "AsyncSignedIn", "SignedIn", "Step"]
