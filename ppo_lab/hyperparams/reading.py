"""From plain YAML values, in the zoo's manner, to what SB3's constructors take; nothing is run."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.schedules import as_schedule

__all__ = [
    "constructor_arguments",
    "keyword_text",
    "layers_of",
    "with_layers",
    "words_as_hyperparameters",
]

SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")
FLAGS = {
    "env": "give --env",
    "seed": "give --seed",
    "n_envs": "give --n-envs",
    "n_timesteps": "give --timesteps",
    "verbose": "give --verbose",
    "tensorboard_log": "give --tensorboard",
    "device": "every run is made on the CPU",
}
"""What ``-P`` does not take, since it is no hyperparameter, and what does."""
KEYWORD_TEXTS = ("policy_kwargs", "replay_buffer_kwargs")


def constructor_arguments(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """SB3's keyword arguments of hyperparameters as RL Zoo writes them.

    Schedules ``lin_0.001`` become schedules, ``"dict(net_arch=[64])"`` a mapping with
    ``nn.ReLU`` and the like as classes, a ``train_freq`` of two a tuple.

    Args:
        hyperparameters: plain YAML values.

    Raises:
        ArgumentError: a text cannot be read.
    """
    arguments = dict(hyperparameters)
    for name in SCHEDULES:
        if isinstance(arguments.get(name), str):
            arguments[name] = as_schedule(name, arguments[name])
    for name in KEYWORD_TEXTS:
        if name in arguments:
            arguments[name] = _keywords(name, arguments[name])
    if isinstance(arguments.get("train_freq"), list):
        arguments["train_freq"] = tuple(arguments["train_freq"])
    return arguments


def _keywords(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return keyword_text(name, value)
    if isinstance(value, Mapping) and isinstance(value.get("activation_fn"), str):
        activation = value["activation_fn"]
        return {**value, "activation_fn": _class(activation.rpartition(".")[2], activation)}
    return value


def keyword_text(name: str, text: str) -> dict[str, Any]:
    """The mapping that the zoo writes as ``"dict(net_arch=[64, 64], activation_fn=nn.ReLU)"``.

    Args:
        name: of the hyperparameter, for the error.
        text: a call of ``dict`` with keywords: numbers, texts, lists, nested ``dict``, activation
            classes of ``torch.nn``, ``RMSpropTFLike``. Nothing else is understood.

    Raises:
        ArgumentError: it holds something else.
    """
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
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
        words: ``name:value`` each, the value a Python literal, or else a text.

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
        try:
            hyperparameters[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            # "lin_0.001", "dict(…)": the run's own reader takes them or says why.
            hyperparameters[name] = text
    return hyperparameters


def layers_of(policy_kwargs: str | Mapping[str, Any] | None) -> Any:
    """The hidden layers that ``policy_kwargs`` give, in a mapping or in the zoo's text.

    Returns:
        ``[64, 64]`` for actor and critic alike, however it is written; what else they are as it
        stands; None where nothing is said.

    Raises:
        ArgumentError: the text cannot be read.
    """
    given = _keywords("policy_kwargs", policy_kwargs) or {}
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
    keyword_text("policy_kwargs", policy_kwargs)  # it is dict(…), or a mapping written out
    node = ast.parse(policy_kwargs.strip(), mode="eval").body
    if not isinstance(node, ast.Call):
        return {**ast.literal_eval(node), "net_arch": layers}
    sizes = ast.parse(repr(list(layers)), mode="eval").body
    kept = [keyword for keyword in node.keywords if keyword.arg != "net_arch"]
    return ast.unparse(ast.Call(node.func, [], [*kept, ast.keyword("net_arch", sizes)]))


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
        case ast.Dict():
            return ast.literal_eval(node)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if all(
            keyword.arg for keyword in keywords
        ):
            return {str(keyword.arg): _value(keyword.value) for keyword in keywords}
        case ast.Name(id=name):
            return _class(name, name)
        case ast.Attribute(attr=name, value=ast.Name(id="nn") | ast.Attribute(attr="nn")):
            return _class(name, f"nn.{name}")
    raise ValueError(f"{ast.unparse(node)} is none")


def _class(name: str, given: str) -> type:
    """A class by its name; torch is loaded only for a text that names one."""
    from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
    from torch import nn

    if name == RMSpropTFLike.__name__:
        return RMSpropTFLike
    if name in nn.modules.activation.__all__:
        activation: type = getattr(nn, name)
        return activation
    raise ArgumentError(f"{given}: expected an activation of torch.nn, such as nn.ReLU")
