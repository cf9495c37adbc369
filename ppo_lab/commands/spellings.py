"""RL Zoo's spellings of the flags, and our own from one command to the next: one table for all.

A flag of a command is declared once, in its door; whatever else it may be called stands here. A new
flag that has another name in the zoo, or in another command, is one more row.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import fields

from ppo_lab.commands import options

__all__ = ["KINDS", "SYNONYMS", "answer_for", "in_our_words", "other_spellings"]

KINDS = {
    "train": options.TrainOptions,
    "evaluate": options.EvaluateOptions,
    "compare": options.CompareOptions,
    "tune": options.TuneOptions,
    "report": options.ReportOptions,
}
POSITIONAL = {"logs", "run"}
FLAGS = {
    command: {
        f"--{entry.name.replace('_', '-')}"
        for entry in fields(kind)
        if entry.name not in POSITIONAL
    }
    for command, kind in KINDS.items()
}
"""Command → its flags, under their own names."""

SYNONYMS = (
    ("--algo", "--algos", "-a"),
    ("--env", "--envs", "-e"),
    ("--timesteps", "-n", "--n-timesteps", "--total-timesteps"),
    ("--log-folder", "-f", "--folder", "--exp-folder", "--exp-folders"),
    ("--hyperparams", "-params"),
    ("--conf", "-conf", "--conf-file"),
    ("--tensorboard", "-tb", "--tensorboard-log"),
    ("--episodes", "--eval-episodes", "--n-eval-episodes"),
    ("--env-packages", "--gym-packages"),
    ("--trials", "--n-trials"),
    ("--jobs", "--n-jobs"),
    ("--resume", "-i", "--trained-agent"),
    ("--wandb-tags", "-tags"),
    ("--study-name", "--name"),
    ("--out", "-o", "--output", "--output-folder"),
    ("-optimize", "--optimize-hyperparameters"),
    ("-uuid", "--uuid"),
)
"""Each row is one flag: a command has it under one of these names and takes the others for it."""

REPLACED = {
    ("evaluate", "--load-best"): ("--checkpoint", "best"),
    ("evaluate", "--load-last-checkpoint"): ("--checkpoint", "last"),
    ("evaluate", "--load-checkpoint"): ("--checkpoint",),
    ("evaluate", "--eval-env-kwargs"): ("--env-kwargs",),
    ("evaluate", "--no-render"): (),
    ("tune", "-optimize"): (),
    ("tune", "--optimize-hyperparameters"): (),
    ("tune", "--no-optim-plots"): (),
}
"""A command's reading of a flag of the zoo's that is no flag here; nothing: it is so anyway."""

TRAIN = "python -m ppo_lab.train"
ANSWERS: dict[str, str | dict[str, str]] = {
    "-n": {
        "evaluate": "in the zoo -n is how many steps are played; here --episodes N plays N whole "
        "episodes",
        "report": "-n trains for so many steps; a report trains nothing",
    },
    "-f": {"report": "in the zoo -f is the log folder; here the folders stand by themselves: LOGS"},
    "-params": {
        "tune": "in the zoo -params sets a hyperparameter; here --set NAME=VALUE fixes it for "
        "every trial",
    },
    "-conf": {
        "tune": "in the zoo -conf is a file of settings; here --base FILE.yml starts the search "
        "from one",
        "evaluate": "in the zoo -conf is a file of settings; here the run folder has its own",
    },
    "-tb": {
        "*": "in the zoo -tb logs to TensorBoard; here train does, one run at a time, and a report "
        "draws the curves of many",
        "evaluate": "in the zoo -tb logs a training; here train has it",
    },
    "--track": f"in the zoo --track logs to Weights & Biases; here {TRAIN} --track does",
    "-optimize": "in the zoo -optimize searches hyperparameters; here python -m ppo_lab.tune does",
    "-i": {
        "*": f"in the zoo -i goes on from a model; here {TRAIN} --resume RUN does",
        "evaluate": "in the zoo -i goes on training from a model; here the model to play stands by "
        "itself: RUN, or RUN/model.zip",
        "report": "in the zoo's plots -i is a file of results; here the logs are read: LOGS",
    },
    "--algo": {
        "report": "in the zoo's plots --algos chooses; here every run below LOGS is taken in: give "
        "folders, such as logs/ppo",
    },
    "--env": {
        "report": "in the zoo's plots --env chooses; here every run below LOGS is taken in: give "
        "folders, and filter the page",
    },
    "--out": {
        "evaluate": "in the zoo record_video writes into -o; here --video FILE.mp4 records",
    },
    "-P": {"*": "in the zoo -P is --progress; here -P is a hyperparameter, of train and compare"},
    "-uuid": "in the zoo -uuid tells run folders apart; here each run has a folder of its own, and "
    "the same command finds it again",
    "--n-evaluations": "in the zoo --n-evaluations is how often a trial is evaluated; here a "
    "pruner looks at its rungs (tune --pruner), and compare has --points",
    "--n-startup-trials": "in the zoo --n-startup-trials are drawn at random first; here the "
    "sampler's own number is, after the base settings",
    "--max-total-trials": "in the zoo --max-total-trials bounds a study; here --trials does, on "
    "however many machines",
    "--n-trials": {
        "*": "in the zoo --n-trials is how many settings are tried; here python -m ppo_lab.tune "
        "--trials N does",
    },
    "--n-jobs": {
        "*": "in the zoo --n-jobs trains so many at once; here compare and tune have --jobs",
    },
    "--trial-id": "in the zoo --trial-id takes a trial's settings; here a study's folder has the "
    "best as YAML, for train --conf",
    "--optimization-log-path": "in the zoo --optimization-log-path keeps every trial; here the "
    "study's folder does",
    "--num-threads": "in the zoo --num-threads is torch's; here a run has one core, and --jobs "
    "runs side by side",
    "--log-interval": "in the zoo --log-interval is how often SB3 logs; here every rollout is",
    "--n-eval-envs": "in the zoo --n-eval-envs evaluates in so many environments; here it is as "
    "many as there are episodes, up to 50, with the same scores",
    "--save-replay-buffer": "in the zoo --save-replay-buffer keeps the buffer; here train does",
    "--truncate-last-trajectory": "in the zoo --truncate-last-trajectory cuts what HER's buffer "
    "ends with; here train --resume takes the buffer as it was kept",
    "--exp-id": "in the zoo --exp-id is the number of a run; here it is part of the run folder's "
    "name: logs/ppo/CartPole-v1_1",
    "--reward-log": "in the zoo --reward-log writes a monitor file; here the returns are printed",
    "--norm-reward": "in the zoo --norm-reward plays with normalised rewards; here returns are "
    "the environment's own",
    "--custom-objects": "in the zoo --custom-objects repairs old models; here what is not needed "
    "to play is always replaced",
    "--n-envs": {
        "evaluate": "in the zoo --n-envs plays so many at once; here it is as many as there are "
        "episodes, up to 50",
    },
    "--no-render": "in the zoo --no-render shows no window; here evaluate alone can show one, with "
    "--render",
}
"""What is said of a flag of the zoo's that a command does not take; ``*``: the other commands."""
PLOTS = (
    ("-l", "--labels", "names the folders; here NAME=LOGS does"),
    ("--input", "is a file of results; here the logs are read: LOGS"),
    ("-k", "--key", "chooses a number of evaluations.npz; here it is the return"),
    ("-max", "--max-timesteps", "ends the curves; here they go as far as every run does"),
    ("-min", "--min-timesteps", "drops short runs; here all count, and short ones are named"),
    ("-median", "--median", "shows medians; here the IQM stands in their place"),
    ("-ci", "--ci-size", "is the intervals' level; here it is 95 %"),
    ("-latex", "--latex", "sets figures in LaTeX; here tables/*.tex are written for it"),
    *((*names, "asks for a figure; here all are drawn, and --engine rliable draws rliable's")
      for names in (("-iqm", "--iqm"), ("-b", "--boxplot"), ("-r", "--rliable"),
                    ("-vs", "--versus"), ("--skip-timesteps",))),
    *((*names, "chooses; here every run below LOGS is taken in: give folders, and filter the page")
      for names in (("-skip", "--skip-envs"), ("--keep-envs",), ("--skip-keys",),
                    ("--keep-keys",), ("--merge",))),
    *((*names, "is of one window; here figures/ has every figure as SVG and PNG")
      for names in (("--no-million",), ("--no-display",), ("-loc", "--legend-loc"),
                    ("--figsize",), ("--fontsize",), ("-print", "--print-n-trials"))),
    *((*names, "is of training episodes; here curves are of evaluations over steps, and python -m "
       "ppo_lab.zoo plot_train draws the others")
      for names in (("-x", "--x-axis"), ("-y", "--y-axis"), ("-w", "--episode-window"))),
)  # fmt: skip
"""Names of a flag of the zoo's plots, and what ``report`` says of it."""
HUB = ("-orga", "--organization", "-name", "--repo-name", "-m", "--commit-message")
HYPERPARAMETERS = (
    *("learning-rate", "n-steps", "batch-size", "n-epochs", "gamma", "gae-lambda", "clip-range"),
    *("ent-coef", "vf-coef", "max-grad-norm", "target-kl"),
)
"""What is often given as a flag, as CleanRL has it."""


def in_our_words(words: Sequence[str], command: str, flags: Collection[str]) -> list[str]:
    """A command line with every flag under the name that the command has for it.

    Long flags may be in any letters, and have ``_`` for ``-``. Values are left alone, and so is
    what the command itself takes.

    Args:
        words: the command line without the program.
        command: ``train``, …
        flags: the command's own.
    """
    read: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*read, *words[place:]]
        read += _read(word, command, flags)
    return read


def _read(word: str, command: str, flags: Collection[str]) -> list[str]:
    if not word.startswith("-") or word in flags:
        return [word]
    flag, equals, value = _parts(word)
    if (command, flag) in REPLACED and not equals:
        return list(REPLACED[command, flag])
    own = flag if flag in flags else _own(flag, flags)
    return [word] if own is None else [f"{own}{equals}{value}"]


def _parts(word: str) -> tuple[str, str, str]:
    """The flag, ``=`` and the value; ``-n1000`` is ``-n=1000``."""
    if re.fullmatch(r"-n\d[\d_.e]*", word):
        return "-n", "=", word[2:]
    flag, equals, value = word.partition("=")
    if flag.startswith("--"):
        flag = flag.lower().replace("_", "-")
    return flag, equals, value


def _own(flag: str, flags: Collection[str]) -> str | None:
    """The command's name for a flag that is called otherwise elsewhere."""
    for row in SYNONYMS:
        if flag in row:
            return next((name for name in row if name in flags), None)
    return None


def answer_for(words: Sequence[str], command: str, flags: Collection[str]) -> str | None:
    """What is said of the first flag of a command line that is another's alone; None: of none."""
    for word in words:
        if word == "--":
            return None
        flag = _parts(word)[0]
        if not word.startswith("-") or flag in flags:
            continue
        answer = _of_the_zoo(flag, command) or _of_another(flag, command)
        if answer is not None:
            return f"{flag}: {answer}"
    return None


def _of_the_zoo(flag: str, command: str) -> str | None:
    row = next((row for row in SYNONYMS if flag in row), (flag,))
    named = next((name for name in row if name in ANSWERS), flag)
    answer = ANSWERS.get("--track" if flag.startswith("--wandb") else named)
    if isinstance(answer, dict):
        answer = answer.get(command, answer.get("*"))
    if answer is None and command == "report":
        plot = next((row for row in PLOTS if flag in row[:-1]), None)
        answer = None if plot is None else f"in the zoo's plots {flag} {plot[-1]}"
    if answer is None and flag in HUB:
        answer = f"in the zoo {flag} is for the Hugging Face Hub, which no command here sends to"
    return answer


def _of_another(flag: str, command: str) -> str | None:
    """Of a flag of our other commands, or of a hyperparameter, where it belongs."""
    row = next((row for row in SYNONYMS if flag in row), (flag,))
    having = [other for other, own in FLAGS.items() if own.intersection(row)]
    if having:
        own = next(name for name in row if name in FLAGS[having[0]])
        name = "" if own == flag else f", as {own}"
        listed = " and ".join(filter(None, (", ".join(having[:-1]), having[-1])))
        return f"here {listed} {'has' if len(having) == 1 else 'have'} it{name}"
    if flag[2:] in HYPERPARAMETERS:
        return _hyperparameter(flag[2:].replace("-", "_"), command)
    return None


def _hyperparameter(name: str, command: str) -> str:
    if command == "tune":
        return f"a hyperparameter is fixed by --set {name}=VALUE"
    if command in ("train", "compare"):
        return f"a hyperparameter is given by -P {name}:VALUE"
    return "it is a hyperparameter of a training"


def other_spellings(flags: Collection[str], command: str) -> str:
    """The other names of a command's flags, as its help lists them."""
    rows = []
    for row in SYNONYMS:
        own = next((name for name in row if name in flags), None)
        if own is not None:
            rows.append(f"{', '.join(name for name in row if name != own)} for {own}")
    replaced = {flag: ours for (of, flag), ours in REPLACED.items() if of == command}
    rows += [f"{flag} for {' '.join(ours)}" for flag, ours in replaced.items() if ours]
    idle = [flag for flag, ours in replaced.items() if not ours]
    verb = "changes" if len(idle) == 1 else "change"
    return "; ".join([*rows, *([f"{', '.join(idle)}, which {verb} nothing"] if idle else [])])
