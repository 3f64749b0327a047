"""Offers signed requests as a way in: `Accept-Signature` in every 401 (RFC 9421 5.1)."""

from __future__ import annotations

import msgspec

from auth_agent.website.config.settings import Settings
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.visit import Visit

# Without `nonce`: there it would be a value to use, and ours would have to be kept until it is.
_PARAMETERS = ';created;expires;tag="web-bot-auth"'
_READ = '"@authority" "signature-agent";key="sig1"'
_CHANGE = '"@method" "@authority" "@path" "signature-agent";key="sig1"'
_CHANGE_BY_QUERY = '"@method" "@authority" "@path" "@query" "signature-agent";key="sig1"'


def offer_signature(visit: Visit, settings: Settings, reply: Reply) -> Reply:
    """Adds what a signature of this request has to cover, if the website accepts signatures."""
    if reply.status != 401 or not settings.signatures:
        return reply
    is_read = visit.method in ("GET", "HEAD", "OPTIONS") and not visit.is_handshake
    covered = _READ if is_read else _CHANGE_BY_QUERY if visit.query else _CHANGE
    header = ("Accept-Signature", f"sig1=({covered}){_PARAMETERS}")
    return msgspec.structs.replace(reply, headers=(*reply.headers, header))
