"""Print each vector that is a text, with its description."""

from collections.abc import Mapping, Sequence

from tools.corpora.json_invalid import INVALID
from tools.corpora.json_open import REFUSED, TAKEN
from tools.corpora.json_valid import VALID
from tools.corpora.texts import TEXTS

_SHOWN = 60


def _show(kind: str, groups: Mapping[str, Mapping[str, object]]) -> None:
    print(f"{kind}: {sum(map(len, groups.values()))}")
    for group, vectors in groups.items():
        for about, vector in vectors.items():
            text = repr(vector)
            print(f"  {group}: {about}: {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}")


def _numbered(groups: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    return {
        group: {str(n): text for n, text in enumerate(texts)} for group, texts in groups.items()
    }


if __name__ == "__main__":
    _show("JSON that must parse", VALID)
    _show("JSON that need not parse, and does", TAKEN)
    _show("JSON that need not parse, and does not", REFUSED)
    _show("texts that must not parse", INVALID)
    _show("texts that break programs", _numbered(TEXTS))
