"""Names of test cases."""


def named(value: object) -> str:
    """The same in every process, which the order of a set is not."""
    return ascii(sorted(value) if isinstance(value, set) else value)
