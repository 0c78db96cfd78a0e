"""A bundle class of the user's own, which files beside it make fail in many ways."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

HOME = Path(os.environ["AIRFLOW_HOME"])


def misbehave():
    if (HOME / "raise").exists():
        raise ConnectionError("the source does not answer") from OSError("no route to host")
    while (HOME / "hang").exists():
        time.sleep(0.05)


class Fragile(BaseDagBundle):
    """Copies folders, and leaves a lock when it is killed on the way, as Git does."""

    supports_versioning = True

    @property
    def path(self):
        return self.versions_dir / self.version if self.version else self.base_dir / "newest"

    def get_current_version(self):
        return BundleVersion(version=self.version or (self.path / "VERSION").read_text())

    def _copy(self, version):
        lock = self.base_dir / "index.lock"
        if lock.exists():
            raise RuntimeError(f"another process is at work: {lock} exists")
        self.base_dir.mkdir(parents=True, exist_ok=True)
        lock.touch()
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        try:
            misbehave()
            shutil.copytree(HOME / "source" / version, self.path, dirs_exist_ok=True)
        finally:
            lock.unlink()

    def refresh(self):
        self._copy((HOME / "source" / "newest").read_text())

    def initialize(self):
        if self.version:
            self._copy(self.version)
        else:
            self.refresh()
        super().initialize()
