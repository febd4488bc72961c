"""Verify a token offline and print its user id.

pip install 'pyjwt[crypto]'
python verify_token.py https://id.example.com TOKEN
"""

import sys

import jwt


def claims_of(token: str, keys: jwt.PyJWKClient) -> dict[str, object]:
    """Return the claims of a valid token. Raises jwt.PyJWTError."""
    claims: dict[str, object] = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=["ES256"],
        issuer="gatehouse",
        audience="gatehouse",
        options={"require": ["exp", "iat", "sub", "sid"]},
    )
    return claims


if __name__ == "__main__":
    origin, token = sys.argv[1:]
    # Caches the keys and fetches them again if a token names an unknown one.
    keys = jwt.PyJWKClient(f"{origin}/.well-known/jwks.json")
    try:
        print(claims_of(token, keys)["sub"])
    except jwt.PyJWTError as error:
        sys.exit(f"No: {error}")
