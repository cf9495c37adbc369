"""``python -m tests``: every check of the project.

Types are checked while pytest runs, whose tests build the documentation strictly too.
Arguments are handed to pytest: ``python -m tests -m slow`` runs the learning tests.
"""

import os
import subprocess
import sys
import tempfile

FIRST = (("ruff", "format", "--check", "."), ("ruff", "check", "."))
BESIDE = (("mypy",),)
# A file stays with one process while it can, and its fixtures are made once.
TESTS = ("pytest", "-n", "auto", "--dist", "worksteal", *sys.argv[1:])


def main() -> int:
    """Run all checks; the first failure's exit status, 0 where there is none."""
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # mkdocs-material's advertisement
    for check in FIRST:
        print("$ python -m", *check, flush=True)
        if code := subprocess.run((sys.executable, "-m", *check), check=False).returncode:
            return code
    with tempfile.TemporaryFile("w+") as told:
        line = " && ".join(f'"$0" -m {" ".join(check)}' for check in BESIDE)
        beside = subprocess.Popen(("sh", "-c", line, sys.executable), stdout=told, stderr=told)
        print("$ python -m", *TESTS, flush=True)
        code = subprocess.run((sys.executable, "-m", *TESTS), check=False).returncode
        failed = beside.wait()
        for check in BESIDE:
            print("$ python -m", *check)
        told.seek(0)
        print(told.read(), end="", flush=True)
    return code or failed


if __name__ == "__main__":
    sys.exit(main())
