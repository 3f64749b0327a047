"""The agent's side: sign in to websites with an identity of its own.

sdk = AgentSDK(agent_id="agent_…", private_key="agent.pem", server_url="https://auth.example")
with sdk.sign_in("https://shop.example/me") as site:
    site.client.get("/orders")          # an httpx2.Client with the website's cookies
"""

from auth_agent.sdk.agent import AgentSDK
from auth_agent.sdk.async_agent import AsyncAgentSDK
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.flow.effects import Step
from auth_agent.sdk.results import (
    AgentAuthResponse,
    AgentProfile,
    AgentRegistrationResponse,
    AuthorizationUrl,
    ChallengeResponse,
    IntrospectionResponse,
    TokenResponse,
    UserInfo,
    VerifyStatus,
)
from auth_agent.sdk.sign_in.page import PageSignIn
from auth_agent.sdk.signed_in import AsyncSignedIn, SignedIn

__all__ = [
    "AgentAuthResponse",
    "AgentProfile",
    "AgentRegistrationResponse",
    "AgentSDK",
    "AsyncAgentSDK",
    "AsyncSignedIn",
    "AuthorizationUrl",
    "ChallengeResponse",
    "IntrospectionResponse",
    "PageSignIn",
    "SignedIn",
    "Step",
    "TokenManager",
    "TokenResponse",
    "UserInfo",
    "VerifyStatus",
]
