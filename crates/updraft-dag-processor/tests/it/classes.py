"""Bundle classes as users write them, good and bad."""

import shutil
import time
from pathlib import Path

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion


class FolderBundle(BaseDagBundle):
    """Copies a folder, as the classes of object stores download a prefix."""

    def __init__(self, *, source, **kwargs):
        super().__init__(**kwargs)
        self.source = Path(source)

    @property
    def path(self):
        return self.base_dir

    def get_current_version(self):
        return None

    def refresh(self):
        with self.lock():
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.copytree(self.source, self.path)

    def initialize(self):
        self.refresh()
        super().initialize()


class VersionedBundle(BaseDagBundle):
    """Has a folder for each version, and a file that says which one is the newest."""

    supports_versioning = True

    def __init__(self, *, source, **kwargs):
        super().__init__(**kwargs)
        self.source = Path(source)

    @property
    def path(self):
        return self.versions_dir / self.version if self.version else self.base_dir / "newest"

    def get_current_version(self):
        return BundleVersion(version=self.version or (self.path / "VERSION").read_text())

    def _copy(self, version):
        with self.lock():
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.copytree(self.source / version, self.path)

    def refresh(self):
        self._copy((self.source / "newest").read_text())

    def initialize(self):
        if self.version:
            self._copy(self.version)
        else:
            self.refresh()
        super().initialize()


class RaisingBundle(FolderBundle):
    """Fails unless its source is there."""

    def initialize(self):
        if not self.source.exists():
            raise ConnectionError("the bucket does not answer") from OSError("no route to host")
        super().initialize()


class HangingBundle(FolderBundle):
    """Never comes back."""

    def initialize(self):
        print("about to hang")
        while True:
            time.sleep(3600)


class NoBundle:
    """Is none."""
