"""The flags that say how environments are made and wrapped, the same for every command."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ppo_lab.commands.options import EnvironmentOptions
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import keyword_text
from ppo_lab.hyperparams.sources import TrainingSettings
from ppo_lab.hyperparams.words import word_value
from ppo_lab.registry import ALGORITHMS

__all__ = ["check_mask_flag", "keywords", "packages_of", "with_environment_flags", "with_mask_flag"]


def with_environment_flags(
    settings: TrainingSettings, options: EnvironmentOptions
) -> TrainingSettings:
    """Settings with what the command line says of the environments on top of them.

    Raises:
        ArgumentError: a flag's value cannot be read.
    """
    if options.vec_env is not None:  # it changes no number, and so no label
        stepped = {**settings.environment, "vec_env": options.vec_env}
        settings = replace(settings, environment=stepped)
    given = _given(options, settings.environment.get("env_kwargs", {}))
    if not given:
        return settings
    names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    word = "given" if settings.word == "committed" else settings.word
    # What is empty takes the settings' own away.
    kept = {key: value for key, value in settings.environment.items() if key not in given}
    return replace(settings, environment=kept).overlaid(given, word, f"on top: {names}")


def with_mask_flag(
    settings: TrainingSettings, algo: str, options: EnvironmentOptions
) -> TrainingSettings:
    """Settings with ``--mask-actions`` on top, for an algorithm that has such an argument."""
    argument = ALGORITHMS[algo].mask_argument
    if not options.mask_actions or not argument or settings.hyperparameters.get(argument) is True:
        return settings
    return settings.overlaid({argument: True}, f"{settings.word}-masked", "on top: --mask-actions")


def check_mask_flag(options: EnvironmentOptions, algos: Sequence[str]) -> None:
    """Check that ``--mask-actions`` is for one of the algorithms.

    Raises:
        ArgumentError: it is for none.
    """
    able = [name for name, algorithm in ALGORITHMS.items() if algorithm.mask_argument]
    if options.mask_actions and not set(able) & set(algos):
        raise ArgumentError(
            f"--mask-actions with {', '.join(algos)}: only {', '.join(able)} takes it"
        )


def _given(options: EnvironmentOptions, env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What flags say; arguments of the environments go on top of ``env_kwargs``."""
    given: dict[str, Any] = {}
    own = dict(env_kwargs)
    for flag, words in (
        ("env_kwargs", options.env_kwargs),
        ("eval_env_kwargs", options.eval_env_kwargs),
    ):
        if words:
            own = {**own, **keywords(flag, words)}
            given[flag] = own
    if options.wrapper:
        given["env_wrapper"] = [name.replace(":", ".") for name in options.wrapper]
    if options.frame_stack is not None:
        given["frame_stack"] = options.frame_stack
    if options.normalize is not None:
        given["normalize"] = _normalization(options.normalize)
    return given


def packages_of(options: EnvironmentOptions) -> list[str]:
    """The packages that settings may name code of: ``--env-packages``, and the wrappers' own."""
    wrappers = (name.replace(":", ".") for name in options.wrapper or ())
    return [*options.env_packages, *(name.rpartition(".")[0] for name in wrappers)]


def keywords(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """``name:value`` words; see :func:`word_value`.

    Args:
        flag: that gave them, for the error.
        words: as given.

    Raises:
        ArgumentError: one is not of that form.
    """
    keywords: dict[str, Any] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if not colon or not name.isidentifier() or not text:
            raise ArgumentError(
                f"--{flag.replace('_', '-')} {word!r}: expected name:value, such as size:5"
            )
        keywords[name] = word_value(text)
    return keywords


def _normalization(text: str) -> bool | dict[str, Any]:
    words = {"true": True, "false": False}
    return words[text.lower()] if text.lower() in words else keyword_text("normalize", text)
