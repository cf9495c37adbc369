"""``python -m tests``: every check of the project, in the order in which they fail fastest.

Arguments are handed to pytest: ``python -m tests -m slow`` runs the learning tests.
"""

import subprocess
import sys

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("pytest", "-n", "auto", *sys.argv[1:]),
)

if __name__ == "__main__":
    for check in CHECKS:
        print("$ python -m", *check, flush=True)
        code = subprocess.run((sys.executable, "-m", *check), check=False).returncode
        if code != 0:
            sys.exit(code)
