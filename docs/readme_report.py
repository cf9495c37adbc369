"""Put a report's table and learning curves into the README: ``readme_report.py STUDY_FOLDER``."""

import re
import shutil
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
MARKS = re.compile(r"(?<=<!-- report -->\n).*?(?=<!-- /report -->)", re.DOTALL)


def main(study: Path) -> None:
    """Replace what stands between the README's marks."""
    lines = (study / "report.md").read_text(encoding="utf-8").splitlines()
    table = "\n".join(line for line in lines if line.startswith("|"))
    finding = lines[0].removeprefix("# ")
    figure = HOME / "docs" / "figures" / "learning_curves.png"
    figure.parent.mkdir(exist_ok=True)
    shutil.copyfile(study / "figures" / "learning_curves.png", figure)
    image = f"![IQM of the normalised return over environment steps]({figure.relative_to(HOME)})"
    readme = HOME / "README.md"
    text = readme.read_text(encoding="utf-8")
    content = f"*{finding}.*\n\n{table}\n\n{image}\n"
    readme.write_text(MARKS.sub(lambda _: content, text), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
