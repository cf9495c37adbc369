"""What an update of the compiled path is told, as frozen dataclasses and as flat arrays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["AdamSettings", "UpdateSettings"]

CLIP, KL, VANILLA = 0.0, 1.0, 2.0

# What stands where in a packed UpdateSettings: the order of its attributes.
OBJECTIVE, CLIP_RANGE, CLIP_RANGE_VF, ENT_COEF, VF_COEF, KL_COEF, NORMALIZE = range(7)
MAX_GRAD_NORM, CRITIC_MAX_GRAD_NORM, KL_LIMIT = 7, 8, 9

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
        """(10,) float64, an attribute each; NaN stands for None."""
        objective = {"clip": CLIP, "kl": KL, "vanilla": VANILLA}[self.objective]
        numbers = {**vars(self), "objective": objective}.values()
        return np.array([np.nan if x is None else x for x in numbers], np.float64)


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
