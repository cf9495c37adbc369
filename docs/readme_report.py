"""Put what the main job prints, and its figure, into the README: ``readme_report.py FOLDER``.

In FOLDER ``python -m ppo_lab.tune`` was run; it is called once more there, and finds its study.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
STUDY = Path("logs") / "tune-CartPole-v1"
MARKS = re.compile(r"(?<=<!-- report -->\n).*?(?=<!-- /report -->)", re.DOTALL)
PROGRESS = re.compile(r"^(Tuning|Going on|screen|replicate|judge)\b")
SECONDS = re.compile(r" \([^()]*\)$")
"""Behind the report's path: another time each time."""


def printed(folder: Path) -> str:
    """What the command prints of a finished study, without what passes."""
    answer = subprocess.run(
        [sys.executable, "-m", "ppo_lab.tune"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line.rstrip() for line in answer.stdout.splitlines() if not PROGRESS.match(line)]
    lines[-1] = SECONDS.sub("", lines[-1])
    return "\n".join(lines)


def main(folder: Path) -> None:
    """Replace what stands between the README's marks."""
    figure = HOME / "docs" / "figures" / "learning_curves.png"
    figure.parent.mkdir(exist_ok=True)
    text = printed(folder)
    shutil.copyfile(folder / STUDY / "figures" / "learning_curves.png", figure)
    image = f"![IQM of the normalised return over environment steps]({figure.relative_to(HOME)})"
    readme = HOME / "README.md"
    content = f"```text\n{text}\n```\n\n{image}\n"
    old = readme.read_text(encoding="utf-8")
    readme.write_text(MARKS.sub(lambda _: content, old), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
