"""`make fuzz`: atheris, guided by coverage, against the envelope parser. See envelope.py."""

import sys

import atheris

with atheris.instrument_imports(include=["app"]):
    from tests.hostile.envelope import check

if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
