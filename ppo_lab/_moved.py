"""Modules under the names they had before 0.2: models saved then name them in their pickles."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["find_moved_modules"]

MOVED = {
    "ppo_lab.buffers": "ppo_lab.ppo.buffers",
    "ppo_lab.policies": "ppo_lab.ppo.policies",
    "ppo_lab.schedules": "ppo_lab.ppo.schedules",
}


class _Moved(MetaPathFinder, Loader):
    """Gives the module itself for its old name: there is one of each class."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        # Python has put the old name's in place of the module's own.
        module.__spec__ = module.__spec__.loader_state


def find_moved_modules() -> None:
    """Let the old names be imported from now on."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
