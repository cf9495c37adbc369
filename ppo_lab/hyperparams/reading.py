"""From plain YAML values, in the zoo's manner, to what SB3's constructors take; nothing is run."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.numbers import with_whole_numbers
from ppo_lab.hyperparams.words import word_value
from ppo_lab.ppo.schedules import as_schedule

__all__ = [
    "Named",
    "constructor_arguments",
    "keyword_text",
    "layers_of",
    "with_layers",
    "words_as_hyperparameters",
]

Named = Callable[[str, str], Any]
"""The class that a setting (first) names by a dotted name (second)."""
CLASSES = ("_class", "_fn")
"""What the name of a setting ends with whose value is a class."""
SHORTHANDS = {"nn": "torch.nn", "th": "torch"}
"""As the zoo imports them."""
ZOO_NAMES = {"HerReplayBuffer": "stable_baselines3.her.HerReplayBuffer"}
"""Classes of SB3's that the zoo's files name without their module."""
SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf", "delta_std")
FLAGS = {
    "env": "give --env",
    "seed": "give --seed",
    "n_envs": "give --n-envs",
    "n_timesteps": "give --timesteps",
    "vec_env": "give --vec-env",
    "verbose": "give --verbose",
    "tensorboard_log": "give --tensorboard",
    "device": "give --device",
}
"""What ``-P`` does not take, since it is no hyperparameter, and what does."""
KEYWORD_TEXTS = ("policy_kwargs", "replay_buffer_kwargs", "rnd_kwargs")


def no_names(what: str, name: str) -> Any:
    """A :data:`Named` that knows no class.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError(f"{what} {name}: expected an activation of torch.nn, such as nn.ReLU")


def constructor_arguments(
    hyperparameters: Mapping[str, Any], named: Named = no_names
) -> dict[str, Any]:
    """SB3's keyword arguments of hyperparameters as RL Zoo writes them.

    Schedules ``lin_0.001`` become schedules, ``"dict(net_arch=[64])"`` a mapping with
    ``nn.ReLU`` and the like as classes, a ``train_freq`` of two a tuple, and what stands in
    ``optimizer_class``, ``features_extractor_class`` and the like the class of that name.

    Args:
        hyperparameters: plain YAML values.
        named: loads the classes that are no activation of torch's.

    Raises:
        ArgumentError: a text cannot be read, or it is a name that ``named`` refuses.
    """
    arguments = dict(hyperparameters)
    for name in FLAGS:
        if name in arguments:
            raise ArgumentError(f"{name} is no hyperparameter; {FLAGS[name]}")
    for name in SCHEDULES:
        if isinstance(arguments.get(name), str):
            arguments[name] = as_schedule(name, arguments[name])
    for name in KEYWORD_TEXTS:
        if isinstance(arguments.get(name), str):
            arguments[name] = keyword_text(name, arguments[name], named)
    for name, value in arguments.items():
        arguments[name] = _with_classes(name, value, named)
    if isinstance(arguments.get("train_freq"), list):
        arguments["train_freq"] = tuple(arguments["train_freq"])
    return arguments


def _with_classes(name: str, value: Any, named: Named) -> Any:
    """A setting with the classes in the place of their names, also within its mappings."""
    if isinstance(value, Mapping):
        return {key: _with_classes(str(key), one, named) for key, one in value.items()}
    if isinstance(value, str) and name.endswith(CLASSES):
        return _class(name, value, named)
    return value


def keyword_text(name: str, text: str, named: Named = no_names) -> dict[str, Any]:
    """The mapping that the zoo writes as ``"dict(net_arch=[64, 64], activation_fn=nn.ReLU)"``.

    Args:
        name: of the hyperparameter, for the error.
        text: a call of ``dict`` with keywords: numbers, texts, lists, nested ``dict``, activation
            classes of ``torch.nn``, ``RMSpropTFLike``, dotted names. Nothing else is understood.
        named: loads what a dotted name stands for.

    Raises:
        ArgumentError: it holds something else.
    """
    try:
        value = _value(name, ast.parse(text.strip(), mode="eval").body, named)
    except (SyntaxError, ValueError) as error:
        raise ArgumentError(
            f"{name}={text!r}: expected dict(…) of numbers, texts, lists and classes such as "
            f"nn.ReLU ({' '.join(str(error).split())})"
        ) from error
    if not isinstance(value, dict):
        raise ArgumentError(f"{name}={text!r}: expected dict(…)")
    return value


def words_as_hyperparameters(words: Sequence[str]) -> dict[str, Any]:
    """The settings of a command line's ``-P``; nothing is run.

    Args:
        words: ``name:value`` each; see :func:`word_value`.

    Raises:
        ArgumentError: a word has no colon, or no name before it.
    """
    hyperparameters: dict[str, Any] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if not colon or not name.isidentifier() or not text:
            raise ArgumentError(f"-P {word!r}: expected name:value, such as learning_rate:0.001")
        if name in FLAGS:
            raise ArgumentError(f"-P {word!r}: {name} is no hyperparameter; {FLAGS[name]}")
        # "lin_0.001", "dict(…)" stay texts: the run's own reader takes them or says why.
        hyperparameters[name] = word_value(text)
    return with_whole_numbers(hyperparameters)


def _as_it_stands(_what: str, name: str) -> str:
    """The name itself, where a text is read for its layers alone and nothing is loaded."""
    return name


def layers_of(policy_kwargs: str | Mapping[str, Any] | None) -> Any:
    """The hidden layers that ``policy_kwargs`` give, in a mapping or in the zoo's text.

    Returns:
        ``[64, 64]`` for actor and critic alike, however it is written; what else they are as it
        stands; None where nothing is said.

    Raises:
        ArgumentError: the text cannot be read.
    """
    if isinstance(policy_kwargs, str):
        policy_kwargs = keyword_text("policy_kwargs", policy_kwargs, _as_it_stands)
    given = policy_kwargs or {}
    layers = given.get("net_arch")
    if isinstance(layers, Mapping) and set(layers) == {"pi", "vf"} and layers["pi"] == layers["vf"]:
        return layers["pi"]
    return layers


def with_layers(
    policy_kwargs: str | Mapping[str, Any] | None, layers: Sequence[int]
) -> str | dict[str, Any]:
    """``policy_kwargs`` with other hidden layers, all else as it was.

    Args:
        policy_kwargs: a mapping, or the zoo's ``"dict(…)"``, which stays such a text.
        layers: their sizes, for actor and critic alike.

    Raises:
        ArgumentError: the text cannot be read.
    """
    if not isinstance(policy_kwargs, str):
        return {**(policy_kwargs or {}), "net_arch": layers}
    keyword_text(
        "policy_kwargs", policy_kwargs, _as_it_stands
    )  # it is dict(…), or a mapping written out
    node = ast.parse(policy_kwargs.strip(), mode="eval").body
    if not isinstance(node, ast.Call):
        return {**ast.literal_eval(node), "net_arch": layers}
    sizes = ast.parse(repr(list(layers)), mode="eval").body
    kept = [keyword for keyword in node.keywords if keyword.arg != "net_arch"]
    return ast.unparse(ast.Call(node.func, [], [*kept, ast.keyword("net_arch", sizes)]))


def _value(what: str, node: ast.expr, named: Named) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=elements):
            return [_value(what, element, named) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(what, element, named) for element in elements)
        case ast.Dict():
            return ast.literal_eval(node)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if all(
            keyword.arg for keyword in keywords
        ):
            return {str(part.arg): _value(str(part.arg), part.value, named) for part in keywords}
        case ast.Name() | ast.Attribute():
            return _class(what, ast.unparse(node), named)
    raise ValueError(f"{ast.unparse(node)} is none")


def _class(what: str, given: str, named: Named) -> Any:
    """A class by its name; torch is loaded only for a text that names one."""
    from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
    from torch import nn

    if given == RMSpropTFLike.__name__:
        return RMSpropTFLike
    module, _, name = given.rpartition(".")
    if module in ("", "nn", "th.nn", "torch.nn") and name in nn.modules.activation.__all__:
        return getattr(nn, name)
    given = ZOO_NAMES.get(given, given)
    shorthand, _, rest = given.partition(".")
    return named(what, f"{SHORTHANDS.get(shorthand, shorthand)}.{rest}" if rest else given)
