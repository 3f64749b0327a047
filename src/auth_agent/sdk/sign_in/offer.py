"""The sign-in that a website's page offers: in its 401, its `Link` header, a button or a form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import Headers, HttpRequest, HttpResponse
from auth_agent.sdk.exchange.html import Document, Form, read_document
from auth_agent.sdk.exchange.journey import PAGE, check_hop, readable, resolve
from auth_agent.sdk.text import one_line, quoted_url
from auth_agent.url import normal_origin

_LINK = re.compile(r"<([^<>]{1,4096})>([^<]{0,1024})")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)
_BRAND = re.compile(r"auth[\s-]*agent", re.IGNORECASE)
_SIGN_IN = re.compile(r"\b(?:sign|log)[\s-]*in\b|\bcontinue\b", re.IGNORECASE)
_LOGIN_WORDS = re.compile(r"log-?in|sign-?in|auth|oidc|connect", re.IGNORECASE)
_LOGIN_PATH = "/auth-agent/login"
_FILLED_BY_PROGRAMS = ("hidden", "submit", "button", "image", "reset", "checkbox", "radio")
_SENT = ("hidden", "checkbox", "radio")


class Offer(NamedTuple):
    """The request that begins a sign-in, and where the page offers it."""

    request: HttpRequest
    found: str


class _Json(msgspec.Struct, frozen=True):
    login_url: str
    issuer: str


def read_offer(
    url: str, response: HttpResponse, website: str, issuers: tuple[str, ...], *, follow_form: bool
) -> Offer:
    """Returns how the page at `url` begins a sign-in; raises if it offers none on `website`."""
    response = readable(response)
    if response.status == 401 and (found := _read_json(response)) is not None:
        login_url = _resolved(found.login_url, url, website)
        if found.issuer not in issuers:
            raise not_allowed(found.issuer)
        return Offer(_get(login_url), "names its login")
    if response.status >= 500:
        raise _none(url, f"answers {response.status}")
    document = read_document(response)
    if (reference := _linked(response, document)) is not None:
        return Offer(_get(_resolved(reference, _base(url, document), website)), "links its login")
    forms = [form for form in document.forms if _is_ours(form, url, document, website)]
    plain = [form for form in forms if form.method == "get" and _BRAND.search(form.text)]
    if plain:
        return Offer(_get(_with_query(plain[0], url, document)), "has a sign-in button")
    posts = [form for form in forms if form.method == "post"]
    return _form_offer(url, document, posts, response.status, follow_form=follow_form)


def _form_offer(
    url: str, document: Document, posts: list[Form], status: int, *, follow_form: bool
) -> Offer:
    """Chooses the one form that a program can send: the only one, or the only one of our name."""
    branded = [form for form in posts if _BRAND.search(f"{form.text} {form.action}")]
    choice = posts if len(posts) == 1 else branded
    if not choice:
        several = f": none of its {len(posts)} forms names Auth Agent" if posts else ""
        raise _none(url, f"answers {status} and offers no sign-in with Auth Agent{several}")
    if not follow_form:
        raise _none(
            url, f"answers {status} and offers its sign-in only with a form; to send that form, "
            "give follow_form=True (`--follow-form`)",
        )  # fmt: skip
    if len(choice) > 1:
        raise _none(
            url, f"has {len(choice)} forms that sign in with Auth Agent; give the URL of one"
        )
    return Offer(_post(choice[0], url, document), "has a sign-in form")


def _read_json(response: HttpResponse) -> _Json | None:
    try:
        return msgspec.json.decode(response.body, type=_Json)
    except (ValueError, RecursionError):
        return None


def _linked(response: HttpResponse, document: Document) -> str | None:
    """Returns the best link: by relation, by address, by the words of a button."""
    for reference, parameters in _LINK.findall(response.headers.get("link", "")[:16_384]):
        relations = [quoted or plain for quoted, plain in _REL.findall(parameters)]
        if any("login" in relation.lower().split() for relation in relations):
            return str(reference)
    ranked = sorted(_ranked(document), key=lambda candidate: candidate[0])
    return ranked[0][1] if ranked else None


def _ranked(document: Document) -> Iterator[tuple[int, str]]:
    for link in document.links:
        is_login_path = link.reference.partition("?")[0].endswith(_LOGIN_PATH)
        is_branded = _BRAND.search(link.text) is not None
        if "login" in link.rel:
            yield 0, link.reference
        elif is_login_path:
            yield 1, link.reference
        elif is_branded and _SIGN_IN.search(link.text):
            yield 2, link.reference
        elif is_branded and _LOGIN_WORDS.search(link.reference.partition("?")[0]):
            yield 3, link.reference  # a button in another language, or a provider's bare name


def _base(url: str, document: Document) -> str:
    return resolve(url, document.base) if document.base else url


def _resolved(reference: str, url: str, website: str) -> str:
    """Returns the login's URL; raises unless it is on the website itself."""
    login_url = resolve(url, reference)
    check_hop(login_url, came_from=url)
    if normal_origin(url) != website or normal_origin(login_url) != website:
        raise AuthError(
            f"The login that was offered is not on {website} but on {normal_origin(login_url)}; "
            "nothing was sent there. If that is the website you mean, give its own URL.",
            code="website_mismatch",
            status_code=409,
        )
    return login_url


def _is_ours(form: Form, url: str, document: Document, website: str) -> bool:
    """Checks that the website itself takes the form, and that no person has to fill anything in."""
    try:
        target = resolve(_base(url, document), form.action) if form.action else url
        check_hop(target, came_from=url)
    except AuthError:
        return False
    is_complete = all(field.kind in _FILLED_BY_PROGRAMS for field in form.fields)
    return is_complete and normal_origin(url) == normal_origin(target) == website


def _values(form: Form) -> list[tuple[str, str]]:
    """Returns what a browser sends: the hidden fields, and the first button that has a name."""
    values = [(field.name, field.value) for field in form.fields if field.kind in _SENT]
    buttons = [field for field in form.fields if field.kind == "submit"]
    named = [(field.name, field.value) for field in buttons[:1]]
    return [(name, value) for name, value in (*values, *named) if name]


def _target(form: Form, url: str, document: Document) -> str:
    return resolve(_base(url, document), form.action) if form.action else url


def _with_query(form: Form, url: str, document: Document) -> str:
    """Replaces the query of the action, as a GET form does (HTML 4.10.22.4)."""
    query = urlencode(_values(form))
    return _target(form, url, document).partition("?")[0] + (f"?{query}" if query else "")


def _get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, (PAGE,))


def _post(form: Form, url: str, document: Document) -> HttpRequest:
    """Sends `Origin` and `Referer` as a browser does: frameworks check them against forgery."""
    headers: Headers = (
        PAGE,
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", normal_origin(url)),
        ("Referer", urlsplit(url)._replace(fragment="").geturl()),
    )
    return HttpRequest(
        "POST", _target(form, url, document), headers, urlencode(_values(form)).encode()
    )


def not_allowed(issuer: str) -> AuthError:
    """Names the issuer; it may be foreign text, so what is no URL is not quoted."""
    named = quoted_url(issuer) or "something that is not the URL of a server"
    return AuthError(
        f"The sign-in leads to {named}, which is not among the allowed issuers. Nothing was "
        "sent there. If you trust it with this agent's credentials, add it to allowed_issuers "
        "(`--issuer` on the command line).",
        code="issuer_not_allowed",
        status_code=403,
    )


def _none(url: str, reason: str) -> AuthError:
    return AuthError(
        f"{one_line(url.partition('?')[0])} {one_line(reason)}. Give the URL of a page that needs "
        "an agent, or of the website's login.",
        code="not_a_sign_in",
    )
