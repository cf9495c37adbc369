"""What an update of the compiled path is told, as frozen dataclasses and as flat arrays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["AdamSettings", "UpdateSettings"]

CLIP, KL, VANILLA = 0.0, 1.0, 2.0

# What stands where in a packed UpdateSettings.
OBJECTIVE = 0
CLIP_RANGE = 1
CLIP_RANGE_VF = 2
ENT_COEF = 3
VF_COEF = 4
KL_COEF = 5
NORMALIZE = 6
MAX_GRAD_NORM = 7
CRITIC_MAX_GRAD_NORM = 8
KL_LIMIT = 9
N_SETTINGS = 10

LEARNING_RATE, BETA1, BETA2, EPS = 0, 1, 2, 3


@dataclass(frozen=True)
class UpdateSettings:
    """The arguments of one update, as numbers for now (schedules are the caller's).

    Attributes:
        objective: ``clip`` (Spec 6.1), ``kl`` (7.2, β = ``kl_coef`` fixed during the update; the
            caller moves an adaptive β between updates) or ``vanilla`` (5.1).
        clip_range: ε.
        clip_range_vf: how far V may move from its old value (Spec 6.2); None: as far as it likes.
        ent_coef: c_e.
        vf_coef: c_v.
        kl_coef: β.
        normalize_advantage: over each minibatch of at least two (Spec 4.3).
        max_grad_norm: of all parameters together, or of the actor's alone (Spec 6.5).
        critic_max_grad_norm: of the critic's; None: both together.
        kl_limit: the update stops where k3 of a minibatch passes this (Spec 7.3); None: never.
    """

    objective: Literal["clip", "kl", "vanilla"] = "clip"
    clip_range: float = 0.2
    clip_range_vf: float | None = None
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    kl_coef: float = 1.0
    normalize_advantage: bool = True
    max_grad_norm: float = 0.5
    critic_max_grad_norm: float | None = None
    kl_limit: float | None = None

    def packed(self) -> NDArray[np.float64]:
        """(N_SETTINGS,) float64; NaN stands for None."""
        optional = (self.clip_range_vf, self.critic_max_grad_norm, self.kl_limit)
        clip_range_vf, critic_norm, kl_limit = (np.nan if x is None else x for x in optional)
        values = np.empty(N_SETTINGS)
        values[OBJECTIVE] = {"clip": CLIP, "kl": KL, "vanilla": VANILLA}[self.objective]
        values[CLIP_RANGE] = self.clip_range
        values[CLIP_RANGE_VF] = clip_range_vf
        values[ENT_COEF] = self.ent_coef
        values[VF_COEF] = self.vf_coef
        values[KL_COEF] = self.kl_coef
        values[NORMALIZE] = self.normalize_advantage
        values[MAX_GRAD_NORM] = self.max_grad_norm
        values[CRITIC_MAX_GRAD_NORM] = critic_norm
        values[KL_LIMIT] = kl_limit
        return values


@dataclass(frozen=True)
class AdamSettings:
    """The arguments of ``torch.optim.Adam`` (no weight decay, no amsgrad) for one network."""

    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-5

    def packed(self) -> tuple[float, float, float, float]:
        """One row of the array that the kernel takes."""
        return (self.learning_rate, self.beta1, self.beta2, self.eps)
