"""Valid tokens in invalid notations: other texts for the same octets, duplicate members, additional
segments.
"""

import json

from tools.corpora.mint import Group, Mint, b64

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def duplicates(mint: Mint) -> Group:
    """Return duplicate members (RFC 7515, section 4), of which parsers choose different ones."""
    header, claims = json.dumps(mint.header)[1:-1], json.dumps(mint.claims)[1:-1]
    others = {"alg": '"none"', "kid": '"A"', "typ": '"JWE"'}
    tokens: Group = {}
    for name, value in others.items():
        same = json.dumps(mint.header[name])
        for about, member in {"another": value, "the same": same}.items():
            extra = f'"{name}":{member}'
            tokens[f"{about} {name} first"] = mint.token(f"{{{extra},{header}}}".encode())
            tokens[f"{about} {name} last"] = mint.token(f"{{{header},{extra}}}".encode())
    tokens["alg escaped first"] = mint.token(f'{{"\\u0061lg":"none",{header}}}'.encode())
    for name, value in {"sub": '"1"', "exp": "99999999999", "sid": '"x"', "aud": '"x"'}.items():
        tokens[f"{name} first"] = mint.token(claims=f'{{"{name}":{value},{claims}}}'.encode())
        tokens[f"{name} last"] = mint.token(claims=f'{{{claims},"{name}":{value}}}'.encode())
    return tokens


def segments(token: str) -> Group:
    header, payload, signature = token.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    return {
        "no text": "",
        "dots": "..",
        "one segment": header,
        "two segments": f"{header}.{payload}",
        "no signature": f"{header}.{payload}.",
        "no payload (detached, RFC 7515, appendix F)": f"{header}..{signature}",
        "no header": f".{payload}.{signature}",
        "four segments": f"{token}.{signature}",
        "four segments, the last empty": f"{token}.",
        "an empty one first": f".{token}",
        "five segments, as of a JWE": f"{header}..{header}.{payload}.{signature}",
        "two dots": f"{header}..{payload}.{signature}",
        "payload first": f"{payload}.{header}.{signature}",
        "twice": f"{token}.{token}",
        "twice, with a comma": f"{token},{token}",
        "flattened JSON (RFC 7515, section 7.2.2)": json.dumps(flattened),
        "general JSON (RFC 7515, section 7.2.1)": json.dumps(general),
        "an array": json.dumps([token]),
        "a string": json.dumps(token),
        "tilde, as of SD-JWT": f"{token}~",
        "with Bearer": f"Bearer {token}",
        "with a fragment": f"{token}#",
        "colons": token.replace(".", ":"),
        "full-width dots": token.replace(".", "\uff0e"),
        "ideographic full stops": token.replace(".", "\u3002"),
        "reversed": token[::-1],
    }


def encodings(mint: Mint) -> Group:
    """Return the same octets in invalid base64url (RFC 7515, section 2)."""
    tokens: Group = {}
    # With one octet over, the last character has four bits that mean nothing.
    claims = json.dumps(mint.claims)
    claims += " " * ((1 - len(claims)) % 3)
    header = json.dumps(mint.header)
    header += " " * ((1 - len(header)) % 3)
    parts = mint.token(header.encode(), claims.encode()).split(".")
    for place, name in enumerate(("header", "payload", "signature")):
        right = parts[place]
        spare = 4 if len(right) % 4 == 2 else 2
        bits = 2**spare
        last = _ALPHABET.index(right[-1])
        changes = {
            f"bits {bit} that mean nothing": right[:-1] + _ALPHABET[last ^ bit]
            for bit in range(1, min(bits, 4))
        }
        changes |= {
            "padding": right + "=" * (-len(right) % 4),
            "too much padding": right + "====",
            "padding inside": right[:4] + "=" + right[4:],
            "a space inside": right[:4] + " " + right[4:],
            "a newline inside": right[:4] + "\n" + right[4:],
            "a newline behind": right + "\n",
            "CR LF inside": right[:4] + "\r\n" + right[4:],
            "a NUL behind": right + "\0",
            "a tab before": "\t" + right,
            "a character too many": right + "A",
            "a plus inside": right[:4] + "+" + right[4:],
            "a comma inside": right[:4] + "," + right[4:],
            "percent-encoded": f"%{ord(right[0]):02X}{right[1:]}",
            "a full-width letter": chr(ord(right[0]) + 0xFEE0) + right[1:],
            "a zero width space": right[:4] + "\u200b" + right[4:],
            "base64 of the base64": b64(right.encode()),
            "base32 letters": right.upper(),
        }
        for about, changed in changes.items():
            tokens[f"{name}: {about}"] = _with(mint, parts, place, changed)
    return tokens


def _with(mint: Mint, parts: list[str], place: int, changed: str) -> str:
    """Return the token with another segment, signed again as written now."""
    if place == 2:
        return f"{parts[0]}.{parts[1]}.{changed}"
    text = f"{changed}.{parts[1]}" if place == 0 else f"{parts[0]}.{changed}"
    return mint.signed(text)


def changed(token: str) -> Group:
    """Return the token with one character changed or the end cut off, at many positions."""
    tokens: Group = {}
    for place in range(0, len(token), 5):
        if token[place] != ".":
            other = "B" if token[place] == "A" else "A"
            tokens[f"character {place}"] = token[:place] + other + token[place + 1 :]
        tokens[f"cut at {place}"] = token[:place]
    return tokens
