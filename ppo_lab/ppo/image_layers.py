"""Two ways to run the same convolutions faster on a CPU; neither keeps SB3's bits."""

from typing import Any

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from ppo_lab.errors import ArgumentError

__all__ = ["FastImagePolicy"]


class FastImagePolicy(ActorCriticPolicy):
    """Options of the policies that take images; mixed into them. Off, nothing differs.

    The sums of a convolution are then taken in another order: results agree with SB3's to
    rounding, not bit for bit.

    Args:
        *args: as for SB3.
        channels_last: the weights of convolutions lie in memory with their channels last, which
            torch's convolutions on a CPU prefer.
        compile_extractor: the features extractors go through ``torch.compile``. Needs a C++
            compiler; the first rollout and the first update then wait for it.
        **kwargs: as for SB3.

    Raises:
        ArgumentError: no convolution whose channels could come last.
    """

    def __init__(
        self,
        *args: Any,
        channels_last: bool = False,
        compile_extractor: bool = False,
        **kwargs: Any,
    ) -> None:
        self.channels_last = channels_last
        self.compile_extractor = compile_extractor
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        # The critic's extractor stands apart where the two share none.
        extractors = {id(part): part for part in self._extractors()}
        for extractor in extractors.values():
            if self.channels_last:
                _put_channels_last(extractor)
            if self.compile_extractor:
                extractor.compile()

    def _extractors(self) -> list[nn.Module]:
        return [self.features_extractor, self.pi_features_extractor, self.vf_features_extractor]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        chosen = {name: getattr(self, name) for name in ("channels_last", "compile_extractor")}
        return {**super()._get_constructor_parameters(), **chosen}


def _put_channels_last(extractor: nn.Module) -> None:
    if not any(parameter.dim() == 4 for parameter in extractor.parameters()):
        raise ArgumentError(
            f"channels_last=True with {type(extractor).__name__}, which has no convolution over "
            "images: leave it out"
        )
    # In place: optimisers hold these parameters.
    extractor.to(memory_format=th.channels_last)  # type: ignore[call-overload]
