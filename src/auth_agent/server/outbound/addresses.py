"""E-mail addresses: their check and the form in which they are stored and compared.

The domain is stored in the mail system's form (IDNA, RFC 5891), the same for a person who typed
letters and a browser that sent `xn--`. The part before the @ may be anything that RFC 6531
allows without quotes.
"""

from __future__ import annotations

import re
import unicodedata

import idna

LONGEST = 254  # octets (RFC 5321 section 4.5.3.1.3)
_WORD = r'[^\x00-\x20\x7f"(),.:;<>@\[\\\]]+'
_LOCAL = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


def checked_address(text: str) -> str:
    """Returns the address in its stored form; ValueError if no mail can be sent to it."""
    local, _, domain = unicodedata.normalize("NFC", text.strip()).rpartition("@")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode()
    address = f"{local}@{domain}"
    good = _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain) and address.isprintable()
    if not good or len(local.encode()) > 64 or len(address.encode()) > LONGEST:
        raise ValueError("not an e-mail address")
    return address


def needs_smtputf8(address: str) -> bool:
    """Returns True if only a mail server that offers SMTPUTF8 (RFC 6531) can deliver to it."""
    return not address.isascii()
