"""Flags under the zoo's names, and under other commands'."""

import importlib
from typing import Any

import pytest

from ppo_lab.commands import options
from ppo_lab.commands.parsing import parse
from ppo_lab.commands.spellings import ANSWERS, HUB, PLOTS, SYNONYMS, answer_for, in_our_words

KINDS = {
    "train": (options.TrainOptions, []),
    "evaluate": (options.EvaluateOptions, []),
    "compare": (options.CompareOptions, ["--envs", "CartPole-v1", "--timesteps", "8"]),
    "tune": (options.TuneOptions, []),
    "report": (options.ReportOptions, ["logs"]),
    "warm_up": (options.WarmUpOptions, []),
}


def read(command: str, words: str) -> Any:
    kind, needed = KINDS[command]
    return parse(
        importlib.import_module(f"ppo_lab.{command}")._parser(), kind, needed + words.split()
    )


ZOO_TRAIN = (
    "--algo ppo --env CartPole-v1 -n 1e5 -f here -tb board --seed 3 --vec-env subproc --device cpu "
    "--gym-packages pkg --env-kwargs g:1 --eval-env-kwargs g:2 -params gamma:0.9 n_steps:8 -conf "
    "a.yml --eval-freq 100 --eval-episodes 7 --save-freq 50 --verbose 0 --track "
    "--wandb-project-name p --wandb-entity e -tags a b -P"
)


def test_a_command_line_of_the_zoos_train_is_ours() -> None:
    given = read("train", ZOO_TRAIN)
    assert (given.algo, given.env, given.timesteps, given.seed) == ("ppo", "CartPole-v1", 10**5, 3)
    assert (str(given.log_folder), str(given.tensorboard), str(given.conf)) == (
        "here", "board", "a.yml",
    )  # fmt: skip
    assert (given.vec_env, given.device, given.env_packages) == ("subproc", "cpu", ["pkg"])
    assert (given.env_kwargs, given.eval_env_kwargs) == (["g:1"], ["g:2"])
    assert (given.eval_freq, given.eval_episodes, given.save_freq, given.verbose) == (100, 7, 50, 0)
    assert (given.track, given.wandb_project_name, given.wandb_tags) == (True, "p", ["a", "b"])
    # The last word, -P alone, is the zoo's bar and takes nothing back.
    assert given.hyperparams == ["gamma:0.9", "n_steps:8"]


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize("flag", ["-P", "-params", "--hyperparams", "--Hyperparams"])
def test_hyperparameters_have_all_three_names(command: str, flag: str) -> None:
    assert read(command, f"{flag} gamma:0.9 n_steps:8").hyperparams == ["gamma:0.9", "n_steps:8"]


def test_a_command_line_of_the_zoos_enjoy_is_ours() -> None:
    given = read("evaluate", "--algo ppo --env X -f logs --load-best --no-render --stochastic")
    assert (given.run, given.algo, given.checkpoint, given.stochastic) == (
        None,
        "ppo",
        "best",
        True,
    )
    assert read("evaluate", "--load-checkpoint 1000").checkpoint == "1000"
    assert read("evaluate", "--load-last-checkpoint").checkpoint == "last"
    assert read("evaluate", "--eval-env-kwargs g:1").env_kwargs == ["g:1"]


def test_a_search_of_the_zoos_is_ours() -> None:
    words = (
        "--algos ppo --envs CartPole -n 5_000 -optimize --n-trials 9 --n-jobs 2 --no-optim-plots"
    )
    given = read("tune", words)
    assert (given.algo, given.envs, given.timesteps) == (["ppo"], ["CartPole"], 5000)
    assert (given.trials, given.jobs) == (9, 2)


@pytest.mark.parametrize("row", SYNONYMS, ids=lambda row: row[0])
def test_every_name_of_a_flag_is_the_same_flag(row: tuple[str, ...]) -> None:
    """Of every command that has the flag under any of its names."""
    met = 0
    for command in KINDS:
        parser = importlib.import_module(f"ppo_lab.{command}")._parser()
        own = [name for name in row if name in parser._option_string_actions]
        for name in row if own else ():
            (word,) = in_our_words([name], command, parser._flags)
            assert word == (name if name in own else own[0])
            met += 1
    assert met or row[0].startswith(("-optimize", "-uuid"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--TIMESTEPS=5", "--n_envs", "2"], ["--timesteps=5", "--n-envs", "2"]),
        (["-n1e3"], ["--timesteps=1e3"]),
        (["-n=7"], ["--timesteps=7"]),
        (["-P", "n:5", "-f", "-1"], ["-P", "n:5", "--log-folder", "-1"]),
        (["--", "-n", "5"], ["--", "-n", "5"]),
        (["--env", "A_B"], ["--env", "A_B"]),
        (["--unknown_flag"], ["--unknown_flag"]),
    ],
)
def test_flags_are_read_in_any_letters_and_values_are_left_alone(
    words: list[str], expected: list[str]
) -> None:
    flags = {"--timesteps", "--n-envs", "--log-folder", "-P", "--env"}
    assert in_our_words(words, "train", flags) == expected


@pytest.mark.parametrize("flag", [*ANSWERS, *(name for row in PLOTS for name in row[:-1]), *HUB])
def test_what_only_the_zoo_has_is_answered_by_every_command_that_has_it_not(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = 0
    for command in KINDS:
        parser = importlib.import_module(f"ppo_lab.{command}")._parser()
        words = in_our_words([flag], command, parser._flags)
        answer = answer_for(words, command, parser._flags)
        if answer is None:
            continue
        answered += 1
        with pytest.raises(SystemExit) as stopped:
            read(command, flag)
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(f"ppo_lab.{command}: {words[0]}: ")
        assert said.count("\n") == 1
    assert answered


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("train", "--learning_rate 0.1", "a hyperparameter is given by -P learning_rate:VALUE"),
        ("tune", "--gamma 0.9", "a hyperparameter is fixed by --set gamma=VALUE"),
        ("train", "--sed 1", "unrecognized arguments: --sed 1; closest: --seed"),
        ("tune", "-conf x.yml", "here --base FILE.yml starts the search from one"),
        ("compare", "--set gamma=1", "--set: here tune has it"),
        (
            "evaluate",
            "-params gamma:1",
            "here train and compare have it, as --hyperparams",
        ),
        ("train", "--pruner=none", "--pruner: here tune has it"),
        ("tune", "-tags a", "-tags: here train has it, as --wandb-tags"),
        ("compare", "--wandb-entity me", "--wandb-entity: in the zoo --track logs to Weights"),
        ("evaluate", "-n 5", "here --episodes N plays N whole episodes"),
        ("train", "-n 1.5", "'1.5': expected a whole number, such as 10000, 10_000 or 1e4"),
        ("compare", "--seeds 1e-1", "'1e-1': expected a whole number"),
        ("evaluate", "RUN --episodes nan", "'nan': expected a whole number"),
    ],
)
def test_a_flag_that_cannot_be_read_says_what_is_meant(
    command: str, words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        read(command, words)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_password_stays_unshown_behind_a_flag_in_other_letters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        read("tune", "--STORAGE=postgresql://me:secret@host/base --uuid --n-trials x")
    assert "secret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words", "kept"),
    [
        ("compare", "--seeds 3 -f here --jobs 2 -P gamma:0.9", "--seeds 3 -P gamma:0.9"),
        ("tune", "--storage sqlite:///a.db --n-trials 9 --n-jobs=2 --plots", "--n-trials 9"),
        ("tune", "--stor postgresql://me:secret@host/base --grac 9 --set gamma=1", "--set gamma=1"),
        ("tune", "--STORAGE=postgresql://me:secret@host/base --seed -1", "--seed -1"),
        ("train", "-tags a b --no-progress --track -n 1e3 --env X", "-n 1e3 --env X"),
    ],
)
def test_the_command_of_a_report_has_the_words_that_were_given_but_for_idle_flags(
    command: str, words: str, kept: str
) -> None:
    parser = importlib.import_module(f"ppo_lab.{command}")._parser()
    needed = KINDS[command][1]
    parser.parse_args([*needed, *words.split()])
    assert parser.command == ("python", "-m", f"ppo_lab.{command}", *needed, *kept.split())


@pytest.mark.parametrize("command", KINDS)
def test_help_has_groups_two_examples_and_no_none(command: str) -> None:
    text = importlib.import_module(f"ppo_lab.{command}")._parser().format_help()
    assert "None" not in " ".join(text.split()).replace("texts, lists, None", "")
    assert text.count(f"\n  python -m ppo_lab.{command}") == 2
    groups = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert len(groups) >= 3
