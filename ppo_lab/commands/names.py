"""The names that a command line gives, settled before anything heavy is loaded.

An unknown algorithm or environment, or a package that cannot be imported, is answered in a fraction
of a second, without torch.
"""

from collections.abc import Sequence
from dataclasses import replace

from ppo_lab.commands.options import CompareOptions, EvaluateOptions, TrainOptions, TuneOptions
from ppo_lab.environment_ids import full_id
from ppo_lab.registry import named_algorithm
from ppo_lab.runs.named_code import import_packages

__all__ = [
    "with_compare_names",
    "with_evaluate_names",
    "with_train_names",
    "with_tune_names",
]


def with_train_names(options: TrainOptions) -> TrainOptions:
    """The options with the full names of algorithm and environment.

    Raises:
        ArgumentError: there is no such algorithm, environment or package.
    """
    algo = None if options.algo is None else named_algorithm(options.algo)
    env = None if options.env is None else _ids([options.env], options.env_packages)[0]
    return replace(options, algo=algo, env=env)


def with_compare_names(options: CompareOptions) -> CompareOptions:
    """As :func:`with_train_names`, each name once."""
    baseline = None if options.baseline is None else named_algorithm(options.baseline)
    return replace(
        options,
        algos=_algorithms(options.algos),
        envs=list(dict.fromkeys(_ids(options.envs, options.env_packages))),
        baseline=baseline,
    )


def with_tune_names(options: TuneOptions) -> TuneOptions:
    """As :func:`with_train_names`, each name once; one of --envs is --env."""
    options = replace(options, algo=_algorithms(options.algo))
    envs = None
    if options.envs is not None:
        envs = list(dict.fromkeys(_ids(options.envs, options.env_packages)))
        if len(envs) == 1 and not options.one_setting:
            return replace(options, env=envs[0], envs=None)
    env = _ids([options.env], options.env_packages)[0]
    return replace(options, env=env, envs=envs)


def with_evaluate_names(options: EvaluateOptions) -> EvaluateOptions:
    """As :func:`with_train_names`."""
    algo = None if options.algo is None else named_algorithm(options.algo)
    env = None if options.env is None else _ids([options.env], options.env_packages)[0]
    return replace(options, algo=algo, env=env)


def _algorithms(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(named_algorithm, words)))


def _ids(env_ids: Sequence[str], packages: Sequence[str]) -> list[str]:
    import_packages(packages, *env_ids)
    return [full_id(env_id) for env_id in env_ids]
