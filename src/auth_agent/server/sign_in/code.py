"""The code of an approved sign-in, as the token endpoint reads it."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, bindparam, select

from auth_agent.protocol.details import OWNER, canonical, enriched
from auth_agent.server.registry.claims import AGENT_COLUMNS, AgentRecord
from auth_agent.server.storage.statements import Read
from auth_agent.server.storage.tables.approvals import owner_question
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.storage.tables.sign_ins import sign_in

_BY_CODE = Read(
    select(
        sign_in.c.id,
        sign_in.c.client_id,
        sign_in.c.agent_id,
        sign_in.c.redirect_uri,
        sign_in.c.scope,
        sign_in.c.audience,
        sign_in.c.nonce,
        sign_in.c.code_challenge,
        sign_in.c.code_expires_at,
        sign_in.c.approved_at,
        sign_in.c.redeemed_at,
        sign_in.c.family_id,
        sign_in.c.model,
        sign_in.c.amr,
        sign_in.c.dpop_jkt,
        sign_in.c.question_id,
        owner_question.c.act,
        owner_question.c.answer,
        owner_question.c.answered_at,
        *AGENT_COLUMNS,
    )
    .join(agent, agent.c.id == sign_in.c.agent_id)
    .outerjoin(owner_question, owner_question.c.id == sign_in.c.question_id)
    .where(sign_in.c.code_hash == bindparam("code_hash"))
)


class AuthorizationCode:
    """An authorization code with the attributes and methods that Authlib's grant reads."""

    def __init__(self, row: Any) -> None:
        self.request_id: str = row.id
        self.client_id: str = row.client_id
        self.redirect_uri: str = row.redirect_uri
        self.scope: str = row.scope
        self.audience: tuple[str, ...] = tuple(row.audience.split())
        self.nonce: str | None = row.nonce
        self.code_challenge: str = row.code_challenge
        self.code_challenge_method = "S256"
        self.expires_at: int = row.code_expires_at
        self.auth_time: int = row.approved_at
        is_approved = row.answer == "approved"  # by the agent's owner
        self.acr: str | None = OWNER if is_approved else None
        self.granted_details: str | None = None
        if is_approved and row.act is not None:
            act = json.loads(row.act)
            self.granted_details = canonical(enriched(act, row.question_id, row.answered_at))
        self.dpop_jkt: str | None = row.dpop_jkt
        self.is_redeemed: bool = row.redeemed_at is not None
        self.model: str = row.model
        self.amr: tuple[str, ...] = tuple(row.amr.split())
        self.agent = AgentRecord.from_row(row)

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


def find_by_code(connection: Connection, code_hash: str) -> AuthorizationCode | None:
    """Returns the approved sign-in of this code, redeemed or not."""
    row = _BY_CODE.one(connection, {"code_hash": code_hash})
    return None if row is None else AuthorizationCode(row)
