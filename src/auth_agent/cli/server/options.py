"""Options that several commands about clients and agents share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

ClientArgument = Annotated[str, typer.Argument(help="The client id, as `client list` shows it.")]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", help=("A scope that the client can ask for; repeatable.")),
]
ResourceOption = Annotated[
    list[str] | None,
    typer.Option("--resource", help="The URL of an API of the website; repeatable."),
]
LogoutOption = Annotated[
    str | None,
    typer.Option(
        "--backchannel-logout-uri", help=("The URL that the server calls when a sign-in ends.")
    ),
]
LogoutSessionOption = Annotated[
    bool | None,
    typer.Option(
        "--logout-session/--no-logout-session",
        help="Name the session (sid) in each back-channel logout, as mod_auth_openidc needs.",
    ),
]
RedirectUriOption = Annotated[
    list[str],
    typer.Option(
        "--redirect-uri",
        help="https, or http on a loopback host; of an app also under its own scheme.",
    ),
]
PublicOption = Annotated[
    bool,
    typer.Option("--public", help="Public client: it cannot keep a secret and uses PKCE."),
]
NativeOption = Annotated[
    bool,
    typer.Option(
        "--native",
        help="An app on a device, e.g. an MCP client: public, and may ask for any known API.",
    ),
]
UpstreamCompatOption = Annotated[
    bool,
    typer.Option("--upstream-compat", help="UNSAFE: anyone can read the codes of sign-ins."),
]
EnvOption = Annotated[
    Path | None,
    typer.Option("--env", help="Write the website's variables to this file, e.g. .env."),
]
PostLogoutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--post-logout-redirect-uri", help="Where a browser can go after signing out at the server."
    ),
]
JwksOption = Annotated[
    Path | None,
    typer.Option(
        "--jwks",
        exists=True,
        dir_okay=False,
        help="PEM, JWK or JWKS: the client authenticates with private_key_jwt and has no secret.",
    ),
]
DpopOption = Annotated[
    bool | None,
    typer.Option(
        "--dpop/--no-dpop", help="Issue tokens only with a proof of a key (DPoP, RFC 9449)."
    ),
]
IdTokenAlgOption = Annotated[
    str | None,
    typer.Option(
        "--id-token-alg",
        help=("Algorithm of its ID tokens: RS256, ES256 or EdDSA; default: the server's."),
    ),
]
StrictAudienceOption = Annotated[
    bool | None,
    typer.Option(
        "--strict-audience/--no-strict-audience",
        help="Its assertions must have the issuer as audience, not the token endpoint.",
    ),
]
JwksUriOption = Annotated[
    str | None, typer.Option("--jwks-uri", help="The URL of its public keys, instead of --jwks.")
]


def words(options: list[str] | None) -> list[str]:
    """Splits words, so that both `--scope a --scope b` and `--scope "a b"` work."""
    return [word for option in options or () for word in option.split()]


def changes_of(
    given: Mapping[str, Any], *, cleared: Iterable[str] = (), example: str
) -> dict[str, Any]:
    """Returns the options that were given, and None for what is cleared.

    Raises `BadParameter` if that is nothing.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= dict.fromkeys(cleared)
    if not changes:
        raise typer.BadParameter(f"name what to change, e.g. {example}")
    return changes
