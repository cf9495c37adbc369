"""SpecPPO: the PPO of the specification on SB3's base class (Spec 6.3)."""

import math
from io import BufferedIOBase
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import (
    GymEnv,
    RolloutBufferSamples,
    Schedule,
)
from stable_baselines3.common.utils import FloatSchedule

from ppo_lab.arguments import (
    Backend,
    Objective,
    check_arguments,
    check_policy,
    check_policy_name,
    check_rollout_shape,
    suggests_names,
)
from ppo_lab.compiled.choice import BackendChoice
from ppo_lab.compiled.two_backends import TwoBackendAlgorithm
from ppo_lab.errors import broken_update
from ppo_lab.kernels.settings import UpdateSettings
from ppo_lab.model_files import check_algorithm
from ppo_lab.ppo import objectives as obj
from ppo_lab.ppo.action_masks import (
    check_has_masks,
    with_masks,
    with_stored_masks,
    without_masks,
    without_stored_masks,
)
from ppo_lab.ppo.advantages import normalize_advantages
from ppo_lab.ppo.buffers import AdvantageEstimator, SpecRolloutBuffer
from ppo_lab.ppo.diagnostics import UpdateDiagnostics
from ppo_lab.ppo.masked_algorithm import MaskingAlgorithm
from ppo_lab.ppo.optimizers import GradientStep, TwoOptimizerAlgorithm
from ppo_lab.ppo.policies import (
    CnnPolicy,
    MlpPolicy,
    MultiInputPolicy,
    SpecActorCriticPolicy,
    has_joint_optimizer,
    with_two_optimizers,
)
from ppo_lab.ppo.schedules import as_schedule
from ppo_lab.ppo.space_checks import check_spaces
from ppo_lab.ppo.streams_algorithm import StreamsAlgorithm
from ppo_lab.ppo.trust_region import kl_limit
from ppo_lab.ppo.trust_region_algorithm import TrustRegionAlgorithm
from ppo_lab.ppo.value_scale import ScaledValue

__all__ = ["SpecPPO"]

SelfSpecPPO = TypeVar("SelfSpecPPO", bound="SpecPPO")

ACTION_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class SpecPPO(
    StreamsAlgorithm,
    TrustRegionAlgorithm,
    MaskingAlgorithm,
    TwoBackendAlgorithm,
    TwoOptimizerAlgorithm,
):
    """Proximal policy optimisation as Spec 2–8 states it; a drop-in for SB3's ``PPO``.

    Every argument of ``PPO`` is here with its meaning and default. With ``backend="torch"`` and
    nothing else set, the same seed gives the parameters of ``PPO`` bit for bit. What SB3 lacks, by
    keyword only:

    Args:
        critic_learning_rate: the critic's own learning rate, a float, a schedule or the zoo's
            ``"lin_…"``; None: the actor's (Spec 5.2).
        critic_max_grad_norm: clips the critic's gradient norm on its own, and ``max_grad_norm``
            then the actor's; None: ``max_grad_norm`` clips both together, as in SB3 (Spec 6.5).
        advantage_estimator: ``gae`` (Spec 3.4, 4.2), ``mc`` (3.1), ``td0`` (3.2) or ``nstep``
            (3.3).
        n_step: n ≥ 1 of ``nstep``.
        use_baseline: False takes the plain return for the advantage (Spec 5.1); not with ``gae``.
        normalize_advantage_over: ``minibatch`` or ``rollout`` (Spec 4.3).
        objective: ``clip`` (Spec 6.1), ``kl`` (7.2, fixed β), ``adaptive_kl`` (7.2) or
            ``vanilla`` (5.1, no ratio: meant for ``n_epochs=1``).
        kl_coef: β ≥ 0 of ``kl``, the first β of ``adaptive_kl``.
        desired_kl: the KL that adaptive β and adaptive ε steer to.
        adaptive_clip_range: (lowest, highest) ε; ε starts at ``clip_range`` and follows the KL
            (Spec 7.5); None: ε follows its schedule.
        normalize_value: the critic regresses on (R̂ − μ)/σ, with the mean and standard deviation of
            all targets so far, and V is read as μ + σ times what it says (Spec 14.4).
            ``clip_range_vf`` is then in units of σ.
        mask_actions: act and learn under the masks of environments that have ``action_masks()``,
            as sb3-contrib's ``MaskablePPO`` (Spec 13).
        intrinsic_coef, intrinsic_gamma, rnd_kwargs: a bonus for what is new, by random network
            distillation with a value head of its own (Spec 15.1, docs/rnd).
        cost_limit, cost_gamma, cost_learning_rate, lambda_lr, lagrangian_multiplier_init: the
            expected sum of ``info["cost"]`` over an episode is kept to ``cost_limit`` by a
            Lagrange multiplier (Spec 15.2, docs/constrained).
        backend: ``torch``; ``compiled`` for kernels of the same mathematics, faster (docs/speed),
            for MLP policies on the CPU; ``auto``: compiled where it applies. With the latter two
            ``device="auto"`` is the CPU for such a policy, also where there is a GPU.

    ``learning_rate``, ``clip_range`` and ``clip_range_vf`` take the zoo's ``"lin_…"`` too.

    Raises:
        ArgumentError: an argument or a combination that cannot work, in one sentence.
        NonFiniteError: from ``learn``, at the first NaN or infinite reward, observation, loss or
            gradient, before it reaches the parameters.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MlpPolicy,
        "CnnPolicy": CnnPolicy,
        "MultiInputPolicy": MultiInputPolicy,
    }

    @suggests_names
    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | str | Schedule = 3e-4,
        n_steps: int = 2048,
        batch_size: int = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | str | Schedule = 0.2,
        clip_range_vf: float | str | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        critic_learning_rate: float | str | Schedule | None = None,
        critic_max_grad_norm: float | None = None,
        advantage_estimator: AdvantageEstimator = "gae",
        n_step: int = 5,
        use_baseline: bool = True,
        normalize_advantage_over: Literal["minibatch", "rollout"] = "minibatch",
        objective: Objective = "clip",
        kl_coef: float = 1.0,
        desired_kl: float = 0.01,
        adaptive_clip_range: tuple[float, float] | None = None,
        mask_actions: bool = False,
        normalize_value: bool = False,
        intrinsic_coef: float = 0.0,
        intrinsic_gamma: float = 0.99,
        rnd_kwargs: dict[str, Any] | None = None,
        cost_limit: float | None = None,
        cost_gamma: float | None = None,
        cost_learning_rate: float | str | Schedule | None = None,
        lambda_lr: float = 0.05,
        lagrangian_multiplier_init: float = 0.0,
        backend: Backend = "auto",
    ) -> None:
        check_arguments(locals())
        check_policy_name(policy, self.policy_aliases)
        if policy == "MlpPolicy" and "critic_only" in (policy_kwargs or {}):
            policy = "MultiInputPolicy"  # SB3 takes no other name with a Dict
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,  # type: ignore[arg-type]  # "lin_…" until set up
            n_steps=n_steps,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            rollout_buffer_class=rollout_buffer_class,
            rollout_buffer_kwargs=rollout_buffer_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            device=device,
            seed=seed,
            _init_setup_model=False,
            supported_action_spaces=ACTION_SPACES,
        )
        if self.env is not None:
            check_rollout_shape(n_steps, self.env.num_envs, batch_size, normalize_advantage)
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        # Schedules once the model is set up, as in SB3, whose users call and replace them.
        self.clip_range = clip_range
        self.clip_range_vf = clip_range_vf
        self.normalize_advantage = normalize_advantage
        self.target_kl = target_kl
        self.critic_learning_rate = critic_learning_rate
        self.critic_max_grad_norm = critic_max_grad_norm
        self.advantage_estimator = advantage_estimator
        self.n_step = n_step
        self.use_baseline = use_baseline
        self.normalize_advantage_over = normalize_advantage_over
        self.objective = objective
        self.kl_coef = kl_coef
        self.desired_kl = desired_kl
        self.adaptive_clip_range = adaptive_clip_range
        self._adapted_clip_range: float | None = None
        self.mask_actions = mask_actions
        self.normalize_value = normalize_value
        self.intrinsic_coef = intrinsic_coef
        self.intrinsic_gamma = intrinsic_gamma
        self.rnd_kwargs = rnd_kwargs
        self.cost_limit = cost_limit
        self.cost_gamma = cost_gamma
        self.cost_learning_rate = cost_learning_rate
        self.lambda_lr = lambda_lr
        self.lagrangian_multiplier_init = lagrangian_multiplier_init
        self.backend = backend
        self._asked_device = device
        self._backend_choice = BackendChoice()

        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        check_spaces(self.observation_space, self.action_space)
        self.policy_class = with_two_optimizers(self.policy_class)
        if self.mask_actions:
            self.policy_class = with_masks(self.policy_class, self.action_space)
            if self.env is not None:
                check_has_masks(self.env)
        else:  # also where ``load`` was told so of a model that was trained with masks
            self.policy_class = without_masks(self.policy_class)
        is_dict = isinstance(self.observation_space, spaces.Dict)
        buffer_class_of = with_stored_masks if self.mask_actions else without_stored_masks
        self.rollout_buffer_class = buffer_class_of(self.rollout_buffer_class, is_dict)
        # Again: ``load`` sets attributes past the constructor.
        check_arguments(vars(self))
        check_policy(self.policy_class, vars(self))
        given = self.policy_kwargs
        if self.normalize_value:
            self.policy_kwargs = {**given, "normalize_value": True}
        self._choose_device()
        super()._setup_model()
        self.policy_kwargs = given
        self._setup_streams()
        if isinstance(self.rollout_buffer, SpecRolloutBuffer):
            self.rollout_buffer.advantage_estimator = self.advantage_estimator
            self.rollout_buffer.n_step = self.n_step
            self.rollout_buffer.use_baseline = self.use_baseline
        self.clip_range = FloatSchedule(as_schedule("clip_range", self.clip_range))
        if self.clip_range_vf is not None:
            self.clip_range_vf = FloatSchedule(as_schedule("clip_range_vf", self.clip_range_vf))
        if self.backend == "compiled":
            self._compiled_path()  # an error now rather than in learn

    @classmethod
    def load(
        cls: type[SelfSpecPPO],
        path: str | Path | BufferedIOBase,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> SelfSpecPPO:
        """Load a model of SpecPPO's or of SB3's ``PPO``, which unpickles it; SB3's arguments.

        Raises:
            ArgumentError: the file is damaged or another algorithm's; nothing was unpickled.
        """
        check_algorithm(path, cls.__name__)
        return super().load(
            path, env, device, custom_objects, print_system_info, force_reset, **kwargs
        )

    def _maybe_recommend_cpu(self, mlp_class_name: str = SpecActorCriticPolicy.__name__) -> None:
        super()._maybe_recommend_cpu(mlp_class_name)

    # ------------------------------------------------------------------ the update (Spec 6.3)

    def train(self) -> None:
        """Update actor and critic on the rollout that is in the buffer (Spec 6.3)."""
        if not self._has_samples():
            return
        self.policy.set_training_mode(True)
        path = self._compiled_path()
        self._update_learning_rates(path is None and has_joint_optimizer(self.policy))
        clip_range, clip_range_vf = self._clip_ranges()
        diagnostics = UpdateDiagnostics(self.logger)
        self._prepare_advantages(diagnostics)
        if self.normalize_value:
            scale = self._value_scale
            scale.update(th.as_tensor(self.rollout_buffer.returns))
            diagnostics.add(target_mean=scale.mean.item(), target_std=scale.std.item())
        if path is None:
            self._gradient_step = GradientStep(self.policy)
            self._update_by_torch(clip_range, clip_range_vf, diagnostics)
        else:
            settings = self._update_settings(clip_range, clip_range_vf)
            path.update(settings, self.n_epochs, self.batch_size, diagnostics)
        measure_kl = self._rollout_kl if path is None else path.rollout_kl
        self._adapt_trust_region(diagnostics, clip_range, measure_kl)
        self._fit_streams(diagnostics, self.n_epochs, self.batch_size)
        self._record(diagnostics, clip_range, clip_range_vf)

    @property
    def _value_scale(self) -> ScaledValue:
        scale = self.policy.value_net
        assert isinstance(scale, ScaledValue)
        return scale

    def _has_samples(self) -> bool:
        """Whether the rollout holds any: of agents that have all left a game there are none."""
        sampled = getattr(self.rollout_buffer, "sampled", None)
        return sampled is None or bool(sampled.any())

    def _update_by_torch(
        self, clip_range: float, clip_range_vf: float | None, diagnostics: UpdateDiagnostics
    ) -> None:
        """All epochs over shuffled minibatches (Spec 6.3)."""
        limit, within_trust_region = kl_limit(self.target_kl), True
        for epoch in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self.batch_size):
                losses = self._losses(batch, clip_range, clip_range_vf)
                approx_kl = obj.kl_k3(losses.log_ratio.detach()).item()
                diagnostics.add_losses(losses, approx_kl, clip_range)
                if limit is not None and approx_kl > limit:
                    within_trust_region = False
                    if self.verbose >= 1:
                        print(f"Early stopping at epoch {epoch}: KL {approx_kl:.4f} is too large")
                    break
                self._step(losses.total, diagnostics)
            self._n_updates += 1
            if not within_trust_region:
                break

    def _losses(
        self, batch: RolloutBufferSamples, clip_range: float, clip_range_vf: float | None
    ) -> obj.Losses:
        """All terms of the loss of one minibatch (Spec 6.2), attached to the graph."""
        actions = batch.actions
        if isinstance(self.action_space, spaces.Discrete):
            actions = actions.long().flatten()
        masks = {"action_masks": batch.action_masks} if self.mask_actions else {}  # type: ignore[attr-defined]
        values, log_prob, entropies = self.policy.evaluate_actions(
            batch.observations, actions, **masks
        )
        advantages = batch.advantages
        if self.normalizes_minibatch and len(advantages) > 1:
            advantages = normalize_advantages(advantages)

        log_ratio = log_prob - batch.old_log_prob
        ratio = obj.probability_ratio(log_prob, batch.old_log_prob)
        if self.objective == "clip":
            objective = obj.clipped_surrogate(ratio, advantages, clip_range)
        elif self.objective == "vanilla":
            objective = obj.policy_gradient(log_prob, advantages)
        else:
            penalty = self.kl_coef * obj.kl_k3(log_ratio)
            objective = obj.surrogate(ratio, advantages) - penalty
        targets, old_values = batch.returns, batch.old_values
        if self.normalize_value:
            scaled = map(self._value_scale.normalize, (values, targets, old_values))
            values, targets, old_values = scaled
        value_loss = obj.value_loss(values.flatten(), targets, old_values, clip_range_vf)
        entropy = obj.entropy_estimate(entropies, log_prob)
        total = obj.total_loss(objective, value_loss, entropy, self.vf_coef, self.ent_coef)
        return obj.Losses(objective, value_loss, entropy, total, log_ratio, ratio)

    def _step(self, loss: th.Tensor, diagnostics: UpdateDiagnostics) -> None:
        """One gradient step, with the gradients clipped (Spec 6.5)."""
        self._gradient_step.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norms = self._gradient_step.clip(self.max_grad_norm, self.critic_max_grad_norm)
        # A norm is finite only where every gradient of its network is.
        if not math.isfinite(loss.detach() + sum(norms.values())):
            measured = {name: norm.item() for name, norm in norms.items()}
            raise broken_update(self.num_timesteps, loss.item(), measured)
        diagnostics.add(**norms)
        self._gradient_step.step()

    def _update_settings(self, clip_range: float, clip_range_vf: float | None) -> UpdateSettings:
        """What the kernels are told of one update."""
        return UpdateSettings(
            # An adaptive β moves between updates only.
            objective="kl" if self.objective == "adaptive_kl" else self.objective,
            clip_range=clip_range,
            clip_range_vf=clip_range_vf,
            ent_coef=self.ent_coef,
            vf_coef=self.vf_coef,
            kl_coef=self.kl_coef,
            normalize_advantage=self.normalizes_minibatch,
            max_grad_norm=self.max_grad_norm,
            critic_max_grad_norm=self.critic_max_grad_norm,
            kl_limit=kl_limit(self.target_kl),
        )

    # ------------------------------------------------------------------ around the update

    @th.no_grad()
    def _rollout_kl(self) -> float:
        """k3 of the policy as it now is, over every sample of the rollout (Spec 7.6)."""
        total, count = 0.0, 0
        for batch in self.rollout_buffer.get(self.batch_size):
            log_ratio = self._losses(batch, 1.0, None).log_ratio
            total += obj.kl_k3(log_ratio).item() * len(log_ratio)
            count += len(log_ratio)
        return total / count


SpecPPO.as_written = {
    name: getattr(SpecPPO, name) for name in ("_losses", "_step", "_update_by_torch", "_rollout_kl")
}
