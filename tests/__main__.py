"""``python -m tests``: every check of the project, in the order in which they fail fastest.

Arguments are handed to pytest: ``python -m tests -m slow`` runs the learning tests.
"""

import os
import subprocess
import sys

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("mkdocs", "build", "--strict", "--quiet"),
    ("pytest", "-n", "auto", *sys.argv[1:]),
)

if __name__ == "__main__":
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # mkdocs-material's advertisement
    for check in CHECKS:
        print("$ python -m", *check, flush=True)
        code = subprocess.run((sys.executable, "-m", *check), check=False).returncode
        if code != 0:
            sys.exit(code)
