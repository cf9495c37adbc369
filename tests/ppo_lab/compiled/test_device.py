"""``device="auto"`` on a machine with a GPU: ``meta`` stands for it, which any machine has."""

from typing import Any

import pytest
import torch as th
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.utils import get_device

from ppo_lab import RecurrentPPO, SpecPPO


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(device: Any = "auto") -> th.device:
        return th.device("meta") if device == "auto" else get_device(device)

    monkeypatch.setattr("stable_baselines3.common.base_class.get_device", chosen)


def model(**settings: Any) -> SpecPPO:
    return SpecPPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, n_epochs=1, **settings)


@pytest.mark.parametrize("backend", ["auto", "compiled"])
def test_an_mlp_is_on_the_cpu_and_says_so(backend: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours = model(backend=backend, verbose=1)
    assert ours.device.type == "cpu"
    assert ours._compiled_path() is not None
    said = capsys.readouterr().out
    assert "Using cpu device, where the kernels run, in the place of meta" in said
    ours.verbose = 0
    ours.learn(32)


def test_a_loaded_mlp_is_on_the_cpu_too(tmp_path: Any) -> None:
    model(device="cpu").save(tmp_path / "model.zip")
    assert SpecPPO.load(tmp_path / "model.zip").device.type == "cpu"
    by_torch = SpecPPO.load(tmp_path / "model.zip", backend="torch", device="cpu")
    assert by_torch.device.type == "cpu"


@pytest.mark.filterwarnings("ignore:You are trying to run SpecPPO on the GPU")
@pytest.mark.parametrize(
    "settings",
    [
        {"backend": "torch"},
        {"device": "meta"},
        {"policy_kwargs": {"features_extractor_kwargs": {}}},
    ],
    ids=["torch was asked for", "the GPU was asked for", "an extractor of its own"],
)
def test_all_else_stays_where_sb3_puts_it(settings: dict[str, Any]) -> None:
    assert model(**settings).device.type == "meta"


def recurrent(**settings: Any) -> RecurrentPPO:
    given: dict[str, Any] = {"policy": "MlpLstmPolicy", "policy_kwargs": {"lstm_hidden_size": 64}}
    return RecurrentPPO(env="CartPole-v1", n_steps=16, batch_size=16, **(given | settings))


@pytest.mark.parametrize("policy", ["MlpLstmPolicy", RecurrentActorCriticPolicy])
def test_a_recurrent_policy_is_on_the_cpu_by_name_by_class_and_loaded(
    policy: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = recurrent(policy=policy, verbose=1)
    assert ours.device.type == "cpu"
    assert (
        "Using cpu device, where the kernels run, in the place of meta" in capsys.readouterr().out
    )
    ours.save(tmp_path / "model.zip")
    loaded = RecurrentPPO.load(tmp_path / "model.zip")
    assert loaded.device.type == "cpu"
    assert next(loaded.policy.parameters()).device.type == "cpu"


@pytest.mark.parametrize(
    "settings",
    [
        {"backend": "torch"},
        {"device": "meta"},
        {"policy_kwargs": {"lstm_hidden_size": 20}},
        {"policy_kwargs": {"n_lstm_layers": 2}},
    ],
    ids=["torch was asked for", "the GPU was asked for", "no width of the kernels", "two layers"],
)
def test_a_recurrent_policy_of_torch_stays_where_sb3_puts_it(settings: dict[str, Any]) -> None:
    assert recurrent(**settings).device.type == "meta"
