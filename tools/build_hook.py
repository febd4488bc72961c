"""Record the commit in a wheel or source distribution; hatchling runs this (pyproject.toml)."""

import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface[BuilderConfig]):
    """Adds the file that `app/version.py` reads."""

    PLUGIN_NAME = "custom"

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the record. One that the tree has is excluded (pyproject.toml): it is the same."""
        if version == "editable":
            # It uses the checkout, whose commit changes.
            return
        source = runpy.run_path(str(Path(self.root, "app", "version.py")))
        commit = source["read_commit"](Path(self.root))
        if commit is None:
            return
        self._folder = Path(tempfile.mkdtemp())
        record = self._folder / "record"
        record.write_text(f"{commit}\n", "ascii")
        record.chmod(0o644)
        build_data["force_include"][str(record)] = f"app/{source['RECORD']}"

    def finalize(self, *_: object) -> None:
        """Remove the temporary file."""
        if self._folder is not None:
            shutil.rmtree(self._folder)
