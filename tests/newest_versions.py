"""Every check in a fresh environment with the newest of everything that our ranges admit.

``python -m tests.newest_versions``; where it passes, the README's table says so, with the day.
What it shows to fail next month, ``constraints.txt`` keeps from our users until it is mended.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.tested_versions import HOME, record

__all__ = ["main"]

VERSIONS = "import platform, torch; print(platform.python_version(), torch.__version__)"


def main() -> int:
    """Run the command; the exit code of what failed first, or 0."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = (python, "-m", "pip", "install", "--quiet", "--upgrade", "-e", ".[dev]")
        for command in (install, (python, "-m", "tests")):
            print("$", *command, flush=True)
            code = subprocess.run(command, cwd=HOME, check=False).returncode
            if code != 0:
                return code
        words = (python, "-c", VERSIONS)
        answer = subprocess.run(words, cwd=HOME, check=True, capture_output=True, text=True)
        record("newest of everything", *answer.stdout.split())
    return 0


if __name__ == "__main__":
    sys.exit(main())
