"""The page about error codes: each code of the source, what causes it, and what to do."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from auth_agent import errors
from handbook.reading import one_line, sources
from handbook.remedies import REMEDIES

HEAD = """# Error codes

A website's page, its JSON (`error` or `cause`) and its log (`cause=`) name the same code; so do the agent's SDK
(`error.code`), the command line and its tools. This page has the cause and the remedy of each. Codes that
OAuth itself defines (`invalid_scope`, `invalid_target`, ...) are explained in the `error_description` that comes with
them.

| HTTP status | in short | codes |
|---|---|---|
| 400 Bad Request | the sign-in cannot continue: state, cookie or host do not fit | [`login_cookie_missing`](#login_cookie_missing), [`login_cookie_unreadable`](#login_cookie_unreadable), [`other_host`](#other_host), [`state_unknown`](#state_unknown), [`state_reused`](#state_reused) |
| 401 Unauthorized | no agent, or its token, proof or signature is not accepted | [`login_required`](#login_required), [`token_required`](#token_required), [`invalid_token`](#invalid_token), [`insufficient_authorization`](#insufficient_authorization), [`invalid_signature`](#invalid_signature) |
| 403 Forbidden | the agent is known, but is not allowed to do this | [`insufficient_scope`](#insufficient_scope), [`access_denied`](#access_denied), [`agent_refused`](#agent_refused), [`cross_site_request`](#cross_site_request) |
| 429 Too Many Requests | a rate limit: `Retry-After` says when to try again | [`rate_limited`](#rate_limited) |
| 502 Bad Gateway | the answer of the Auth Agent server violates the protocol | [below](#a-servers-answer-violates-the-protocol) |
| 503 Service Unavailable | the Auth Agent server, or Redis, cannot be reached | [`server_unavailable`](#server_unavailable) |
"""
# Kind: heading. A code that several kinds of errors have stands under the first of them.
KINDS = {
    "SignInRefused": "A website refuses a sign-in",
    "TokenRefused": "A token is refused",
    "ProofRefused": "A proof is refused (DPoP)",
    "SignatureRefused": "A signed request is refused",
    "SignatureIgnored": "A signed request cannot be checked",
    "ServerUnavailable": "A server cannot be reached",
    "ServerMisbehaved": "A server's answer violates the protocol",
    "AuthError": "The agent's side",
    "SettingsError": "Settings",
    "Refusal": "A website's answer to a visit",
}
STATUS = {"Refusal": 403}
# The documents that a website answers with by itself, without an error of the source.
REPLIES = {
    "cross_site_request": 403,
    "insufficient_authorization": 401,
    "invalid_signature": 401,
    "login_required": 401,
    "method_not_allowed": 405,
    "not_a_navigation": 403,
    "not_implemented": 501,
    "token_required": 401,
}
_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def error_codes(root: Path) -> str:
    """Returns the page; raises `KeyError` for a code without a text, or a text without a code."""
    found = codes(root)
    missing, needless = found.keys() - REMEDIES.keys(), REMEDIES.keys() - found.keys()
    if missing or needless:
        raise KeyError(f"handbook/remedies.py: no text for {sorted(missing)}, no code {needless}")
    parts = [HEAD]
    status = statuses(root)
    for kind, heading in KINDS.items():
        mine = sorted(code for code, kinds in found.items() if _first(kinds) == kind)
        if mine:
            parts.append(f"\n## {heading}\n")
        parts += [_entry(code, kind, status.get(code, set())) for code in mine]
    return "".join(parts)


def codes(root: Path) -> dict[str, set[str]]:
    """Returns code: kinds of errors that have it, of all the source."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    found.update({code: {"Refusal"} for code in REPLIES})
    rooms = sources(root / "src/auth_agent", root / "integrations")
    for tree in rooms.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and not _is_page(node):
                for code in _codes_of(node):
                    found[code].add(_kind(node.func))
            elif isinstance(node, ast.ClassDef) and node.name in KINDS:
                for code in _defaults(node):
                    found[code].add(node.name)
    return dict(found)


def statuses(root: Path) -> dict[str, set[int]]:
    """Returns code: HTTP statuses that the source gives it in place of its kind's own."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    found.update({code: {status} for code, status in REPLIES.items()})
    for tree in sources(root / "src/auth_agent", root / "integrations").values():
        for node in ast.walk(tree):
            for code in _codes_of(node) if isinstance(node, ast.Call) else ():
                if code in REPLIES:
                    continue
                found[code] |= {_status_of(node, _kind(node.func))}
    return dict(found)


def replied(root: Path) -> set[str]:
    """Returns the codes of the JSON documents that a website answers with."""
    return {
        text.value
        for tree in sources(root / "src/auth_agent/website").values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "error"
        for text in ast.walk(value)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    }


def _is_page(call: ast.Call) -> bool:
    """Returns whether the code names a page of the middleware, which need not be an error."""
    return ast.unparse(call.func) == "page"


def _status_of(call: ast.Call, kind: str) -> int:
    for keyword in call.keywords:
        if keyword.arg == "status_code" and isinstance(keyword.value, ast.Constant):
            return int(str(keyword.value.value))
    return STATUS.get(kind) or int(getattr(errors, kind).default_status)


def _codes_of(call: ast.Call) -> list[str]:
    given = (keyword.value for keyword in call.keywords if keyword.arg == "code")
    texts = (node.value for value in given for node in ast.walk(value) if _is_text(node))
    return [text for text in texts if isinstance(text, str) and _CODE.fullmatch(text)]


def _defaults(kind: ast.ClassDef) -> list[str]:
    return [
        str(node.value.value)
        for node in kind.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and ast.unparse(node.targets[0]) == "default_code"
    ]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _kind(function: ast.expr) -> str:
    """Returns the class that is called; what only passes a code on counts as the root's."""
    name = ast.unparse(function).rpartition(".")[2]
    return name if name in KINDS else "AuthError"


def _first(kinds: set[str]) -> str:
    return next(kind for kind in KINDS if kind in kinds)


def _entry(code: str, kind: str, statuses: set[int]) -> str:
    cause, remedy = (one_line(text) for text in REMEDIES[code])
    own = STATUS.get(kind) or getattr(errors, kind).default_status
    status = " or ".join(map(str, sorted(statuses or {own})))
    return f"\n### {code}\n\nCause: {cause}. Remedy: {remedy}. `{kind}`, {status}.\n"
