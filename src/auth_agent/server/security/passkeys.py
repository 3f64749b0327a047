"""Passkeys (WebAuthn Level 3): options for browsers, and their checked answers.

The library checks origin, RP ID, user verification, signature and counter. Checked here: that the
page is no frame of another website, and the user handle; the challenge beside this module.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from auth_agent.protocol.jose.base64url import decode, encode
from auth_agent.server.security.passkey_challenges import LIFETIME, BadPasskey

LONGEST = 16_384  # characters of a credential's JSON
LONGEST_ID = 1_023  # bytes (WebAuthn section 4)


class RelyingParty(NamedTuple):
    """This server as browsers know it: its host name and its origin."""

    id: str
    origin: str

    @classmethod
    def of(cls, issuer: str) -> RelyingParty | None:
        """Returns None for an issuer with an IP address, at which browsers have no passkeys."""
        parts = urlsplit(issuer)
        host = parts.hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return cls(host, f"{parts.scheme}://{parts.netloc}")
        return None


class Known(NamedTuple):
    """A registered passkey, as it is stored."""

    credential_id: str
    user_handle: str
    public_key: str
    sign_count: int


class Registered(NamedTuple):
    """A new passkey; all but the last two in base64url."""

    credential_id: str
    public_key: str
    sign_count: int
    is_synced: bool


class Signed(NamedTuple):
    """A checked assertion: the new counter, and the signed data, which can be checked again."""

    sign_count: int
    evidence: str


class _Response(msgspec.Struct, rename="camel"):
    client_data_json: str = msgspec.field(name="clientDataJSON")
    user_handle: str | None = None
    authenticator_data: str = ""
    signature: str = ""


class Credential(msgspec.Struct, rename="camel"):
    """The parts of a browser's answer that are looked at before the library reads it."""

    id: str
    response: _Response

    def __repr__(self) -> str:
        return "Credential(...)"


def read_credential(text: str) -> tuple[Credential, bytes]:
    """Returns a browser's answer and the challenge that it signed; raises BadPasskey."""
    if len(text) > LONGEST:
        raise BadPasskey("The browser's answer for the passkey is too long")
    try:
        credential = msgspec.json.decode(text.encode(), type=Credential)
        data = json.loads(decode(credential.response.client_data_json))
        challenge, origin = decode(data["challenge"]), data.get("crossOrigin", False)
        name = decode(credential.id)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError):
        raise BadPasskey("The browser sent no passkey") from None
    if origin is not False or "topOrigin" in data:
        raise BadPasskey("A page inside another website cannot use this passkey")
    if not 0 < len(name) <= LONGEST_ID:
        raise BadPasskey("The passkey has no usable id")
    credential.id = encode(name)  # in its one form, by which it is found
    return credential, challenge


def registration_options(
    party: RelyingParty, challenge: bytes, *, name: str, handle: str, known: list[str]
) -> str:
    """Returns the options of `navigator.credentials.create`, as JSON."""
    import webauthn  # noqa: PLC0415  (0.3 s, and seldom needed)
    from webauthn.helpers import structs  # noqa: PLC0415

    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=f"Auth Agent at {party.id}",
        user_name=name,
        user_display_name=name,
        user_id=decode(handle),
        challenge=challenge,
        timeout=LIFETIME * 1000,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=decode(each)) for each in known
        ],
    )
    return str(webauthn.options_to_json(options))


def request_options(party: RelyingParty, challenge: bytes, known: list[str]) -> str:
    """Returns the options of `navigator.credentials.get`, as JSON.

    With none `known` the person chooses among the passkeys that the browser finds.
    """
    options: dict[str, Any] = {
        "challenge": encode(challenge),
        "timeout": LIFETIME * 1000,
        "rpId": party.id,
        "allowCredentials": [{"id": each, "type": "public-key"} for each in known],
        "userVerification": "required",
    }
    return json.dumps(options)


def check_registration(party: RelyingParty, challenge: bytes, text: str) -> Registered:
    """Returns the new passkey of a browser's answer; raises BadPasskey."""
    import webauthn  # noqa: PLC0415

    try:
        made = webauthn.verify_registration_response(
            credential=text,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except Exception:  # noqa: BLE001  (strange attestations make the library fail in other ways)
        raise BadPasskey("The passkey could not be checked; try again") from None
    return Registered(
        encode(made.credential_id),
        encode(made.credential_public_key),
        made.sign_count,
        made.credential_device_type == "multi_device",
    )


def check_assertion(
    party: RelyingParty, challenge: bytes, text: str, credential: Credential, known: Known
) -> Signed:
    """Returns what a registered passkey has signed; raises BadPasskey."""
    import webauthn  # noqa: PLC0415

    response = credential.response
    if response.user_handle not in (None, "", known.user_handle):
        raise BadPasskey("The passkey belongs to another account")
    try:
        signed = webauthn.verify_authentication_response(
            credential=text,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=decode(known.public_key),
            credential_current_sign_count=known.sign_count,
            require_user_verification=True,
        )
    except Exception:  # noqa: BLE001  (strange attestations make the library fail in other ways)
        raise BadPasskey("The passkey could not be checked; try again") from None
    evidence = {
        "credential_id": known.credential_id,
        "client_data_json": response.client_data_json,
        "authenticator_data": response.authenticator_data,
        "signature": response.signature,
    }
    return Signed(signed.new_sign_count, json.dumps(evidence))
