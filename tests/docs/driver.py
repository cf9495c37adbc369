"""``python -m tests.docs.driver FOLDER PAGE …``: run the snippets of pages, print what failed.

Everything heavy is imported once; each page then runs in a process forked from this one, in a
folder of its own, its blocks in their order: Python in one namespace, each command in a further
fork, as alone as ``python -m`` would have it, and worker
processes' tasks in that fork. The last line printed is JSON: page, line, what and
output of every block that failed, and how many ran.
"""

import json
import os
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import matplotlib as mpl
import optuna  # noqa: F401 - for the forks
import torch as th

import ppo_lab.algorithm
import ppo_lab.runs.worker_pool
import ppo_lab.runs.workers
import tuning.run_study  # noqa: F401 - for the forks
from docs.snippets import HOME, Snippet, snippets
from tests.docs.budgets import RUN_ELSEWHERE, learning_little, smaller


class InPlace(Executor):
    """Runs each task at once, in this process: worker processes would import all anew."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, task: Any, /, *arguments: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(task(*arguments, **named))
        return future

    def shutdown(self, *_: object, **__: object) -> None: ...


def in_fork(body: Callable[[], None], output: Path) -> int:
    """The exit code of a fork that does this; both its streams go into a file."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code: Any = 0
    with output.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            body()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def run_command(words: list[str]) -> None:
    """What ``python …`` does, in this process."""
    warnings.resetwarnings()
    ppo_lab.runs.worker_pool.new_worker = InPlace
    if words[1] == "-m":
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words[1:]
        runpy.run_path(str(HOME / words[1]), run_name="__main__")


def run_block(snippet: Snippet, namespace: dict[str, Any], output: Path) -> int | None:
    """Run a block; None if there was nothing to run, else the exit code of what failed, or 0."""
    if snippet.kind in ("not run", "source"):
        return None
    if snippet.kind == "file":
        Path(snippet.word).write_text(snippet.text, encoding="utf-8")
        return None
    if snippet.language == "python":
        code = compile("\n" * (snippet.line - 1) + snippet.text, snippet.page, "exec")
        with learning_little(), warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(code, namespace)
        return 0
    if snippet.language not in ("bash", "console"):
        return None
    commands = [found for words in snippet.commands if (found := smaller(words))]
    for words in commands:
        print("$", " ".join(words), flush=True)
        if code := in_fork(lambda words=words: run_command(words), output):
            return code
    return 0 if commands else None


def run_page(page: Path, folder: Path) -> dict[str, Any]:
    """Run a page's blocks in a folder of its own, up to the first that fails."""
    folder.mkdir()
    output, result = folder / ".output", folder / ".result"

    def body() -> None:
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        namespace: dict[str, Any] = {"__name__": "__main__"}
        ran = 0
        for snippet in snippets(page):
            result.write_text(json.dumps({"line": snippet.line, "ran": ran}), encoding="utf-8")
            code = run_block(snippet, namespace, output)
            if code:
                sys.exit(code)
            ran += code is not None
        result.write_text(json.dumps({"line": 0, "ran": ran}), encoding="utf-8")

    code = in_fork(body, output)
    found = json.loads(result.read_text(encoding="utf-8"))
    return {"page": page.relative_to(HOME).as_posix(), "code": code, **found} | (
        {"output": output.read_text(encoding="utf-8")[-3000:]} if code else {}
    )


def load_kernels() -> None:
    """Compile, or read from the cache, what nearly every fork would have to."""
    for env_id in ("CartPole-v1", "Pendulum-v1"):
        ppo_lab.algorithm.SpecPPO("MlpPolicy", env_id, n_steps=64, device="cpu").learn(64)


def main() -> None:
    """Run the pages named."""
    mpl.use("agg")
    th.set_num_threads(1)
    load_kernels()
    folder = Path(sys.argv[1]).resolve()
    pages = [HOME / name for name in sys.argv[2:] if name not in RUN_ELSEWHERE]
    print(json.dumps([run_page(page, folder / page.stem) for page in pages]))


if __name__ == "__main__":
    main()
