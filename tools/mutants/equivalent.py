"""Changes without an effect and their reasons, by the name in the report."""

EQUIVALENT: dict[str, str] = {}
