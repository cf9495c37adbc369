"""Games that forbid actions, by PettingZoo's convention: who acts under which mask (Spec 13)."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent import GroupsPPO, make_parallel_vec_env
from ppo_lab.multi_agent.as_env import GameEnv
from tests.ppo_lab.multi_agent.games import Doors, Scripted

SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "seed": 0, "device": "cpu"}
DOORS = "tests.ppo_lab.multi_agent.games:Doors"


@pytest.mark.parametrize("where", ["observation", "info"])
def test_each_agent_has_its_own_mask_and_who_is_gone_may_do_anything(where: str) -> None:
    env = make_parallel_vec_env(lambda: Doors(where), 2)
    assert is_masking_supported(env)
    assert env.observation_space == spaces.Box(0.0, 9.0, (2,))
    env.reset()
    # Before step t (from 0) a's door t mod 3 is closed, and b's next one; a leaves after step 3.
    for t in range(8):
        masks, clock = get_action_masks(env), t % 5
        closed = [{clock % 3} if clock < 3 else set(), {(clock + 1) % 3}] * 2
        assert [set(np.flatnonzero(~row)) for row in masks] == closed, t
        np.testing.assert_array_equal(env.get_attr("action_masks", [3])[0](), masks[3])
        np.testing.assert_array_equal(env.env_method("action_masks", indices=1)[0], masks[1])
        env.sampled_rows()
        env.step(masks.argmax(axis=1))


@pytest.mark.parametrize("where", ["observation", "info"])
@pytest.mark.parametrize("backend", ["torch", "compiled"])
@pytest.mark.parametrize("critic", ["own", "central"])
def test_a_team_learns_under_its_masks(where: str, backend: Any, critic: Any) -> None:
    env = make_parallel_vec_env(lambda: Doors(where), 2, critic=critic)
    how = {} if critic == "own" else {"policy_kwargs": {"critic_only": ["state"]}}
    model = SpecPPO("MlpPolicy", env, mask_actions=True, backend=backend, **SMALL, **how)
    model.learn(128)  # a closed door raises
    buffer: Any = model.rollout_buffer
    # In games of 5 steps a has no samples in 2: its masks went with its rows.
    assert len(buffer.action_masks) == len(buffer.returns) < 16 * 4
    assert (buffer.action_masks.sum(axis=1) == 2).all()
    judge = make_parallel_vec_env(lambda: Doors(where), critic=critic, training=False)
    mean, _ = evaluate_policy(model, judge, n_eval_episodes=4)
    assert 0 < mean <= 2 * 5


def test_groups_are_played_under_the_masks_of_a_game() -> None:
    how = {**SMALL, "mask_actions": True}
    for where in ("observation", "info"):
        groups = GroupsPPO(lambda w=where: Doors(w), 2, policies={"a": how, "b": how}, seed=0)
        groups.learn(64)
        assert groups.evaluate(2, deterministic=False)["team"].shape == (2,)
        game = Doors(where)
        seen, infos = game.reset()
        masks = {agent: info["action_mask"] for agent, info in infos.items()}
        game.step(groups.predict(seen, action_masks=masks or None))


def test_random_play_opens_open_doors_alone() -> None:
    for where in ("observation", "info"):
        env = GameEnv(DOORS, where=where)
        for seed in range(20):
            env.reset(seed=seed)
            for _ in range(3):
                env.step(env.action_masks().argmax())
    assert not hasattr(GameEnv(DOORS, where="nowhere"), "action_masks")


BAD: dict[str, tuple[Any, str]] = {
    "width": ([1, 1], r"'b' in the game .* after step 1 has the shape \(2,\): expected \(3,\)"),
    "nothing": ([0, 0, 0], "'b' in the game .* after step 1 allows nothing"),
    "half": ([0.5, 1, 1], r"'b' .* after step 1 is \[0.5, 1.0, 1.0\]: expected 1 where"),
    "none": (None, "'b' .* after step 1 is missing"),
}


@pytest.mark.parametrize(("said", "words"), BAD.values(), ids=BAD.keys())
def test_a_mask_that_cannot_be_names_agent_and_step(said: Any, words: str) -> None:
    game = Doors("info")
    env = make_parallel_vec_env(game)
    env.reset()
    actions = get_action_masks(env).argmax(axis=1)
    game.said["b"] = said
    env.step(actions)
    with pytest.raises(ArgumentError, match=f"action_mask of {words}") as error:
        get_action_masks(env)
    assert "\n" not in str(error.value)


def test_a_game_without_masks_is_refused_where_they_are_wanted() -> None:
    env = make_parallel_vec_env(Scripted([("ab", {"a": 0.0, "b": 0.0}, "", "")]))
    assert not is_masking_supported(env)
    with pytest.raises(ArgumentError, match=r"action_masks\(\).*of a game's agents"):
        SpecPPO("MlpPolicy", env, mask_actions=True)


def test_an_aec_game_with_masks_is_played_by_its_parallel_form() -> None:
    pytest.importorskip("pettingzoo")
    from pettingzoo import AECEnv
    from pettingzoo.utils import AgentSelector, aec_to_parallel

    class Turns(AECEnv):  # type: ignore[misc]
        """Agents choose one after the other; what one takes twice in a row is forbidden."""

        metadata = {"name": "turns", "is_parallelizable": True}  # noqa: RUF012
        render_mode = None
        possible_agents = ["first", "second"]  # noqa: RUF012

        def observation_space(self, agent: str) -> spaces.Space[Any]:
            seen = spaces.Box(0.0, 9.0, (1,))
            mask = spaces.Box(0, 1, (3,), np.int8)
            return spaces.Dict({"observation": seen, "action_mask": mask})

        def action_space(self, agent: str) -> spaces.Space[Any]:
            return spaces.Discrete(3)

        def reset(self, seed: int | None = None, options: Any = None) -> None:
            self.agents = list(self.possible_agents)
            every = self.agents
            self.rewards = self._cumulative_rewards = dict.fromkeys(every, 0.0)
            self.terminations = dict.fromkeys(every, False)
            self.truncations, self.infos = dict(self.terminations), {agent: {} for agent in every}
            self.latest, self.steps = dict.fromkeys(every, 0), 0
            self._order = AgentSelector(every)
            self.agent_selection = self._order.next()

        def observe(self, agent: str) -> Any:
            mask = np.ones(3, np.int8)
            mask[self.latest[agent]] = 0
            return {"observation": np.float32([self.steps]), "action_mask": mask}

        def step(self, action: Any) -> None:
            agent = self.agent_selection
            if self.terminations[agent]:
                self._was_dead_step(action)
                return
            assert action != self.latest[agent]
            self.latest[agent] = int(action)
            self.rewards = dict.fromkeys(self.agents, 0.5)
            if self._order.is_last():
                self.steps += 1
                self.terminations = dict.fromkeys(self.agents, self.steps == 4)
            self.agent_selection = self._order.next()

    env = make_parallel_vec_env(lambda: aec_to_parallel(Turns()), 2)
    model = SpecPPO("MlpPolicy", env, mask_actions=True, **SMALL).learn(64)
    assert (model.rollout_buffer.action_masks.sum(axis=1) == 2).all()  # type: ignore[attr-defined]
    assert evaluate_policy(model, env, 2)[0] == 4.0  # 4 steps, paid twice a half
