"""Where networks are trained: SB3's ``device``, checked before any work begins."""

from ppo_lab.errors import ArgumentError

__all__ = ["check_device", "training_device"]

KINDS = ("cpu", "cuda", "mps", "xpu")
"""What torch computes on, and SB3 with it."""


def check_device(device: str) -> None:
    """Check that this machine has a device.

    SB3 takes the CPU without a word where ``cuda`` was asked for and there is none: whoever waits
    for a GPU's speed would never know.

    Args:
        device: SB3's word: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …

    Raises:
        ArgumentError: no such device, or it is not there.
    """
    if device in ("auto", "cpu"):  # torch need not be loaded for these
        return
    import torch as th

    kind = device.partition(":")[0]
    if kind not in KINDS:
        raise ArgumentError(f"--device {device}: expected auto, {', '.join(KINDS)}, or cuda:0, …")
    try:
        float(th.zeros((), device=device))
    except Exception as error:
        # The first sentence: torch goes on with advice for its own developers.
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ArgumentError(
            f"--device {device}: this machine or its torch has none ({reason}); --device cpu, or "
            "auto, works here"
        ) from error


def training_device(asked: str, policy: str) -> str:
    """SB3's ``device`` of a run.

    Args:
        asked: SB3's word; ``auto`` is the CPU for the small networks of vectors, which every
            algorithm trains faster there (SB3 itself says so of its PPO), so that a comparison is
            the same one on a machine with a GPU; for every other policy it is SB3's choice.
        policy: SB3's name, or a class of the user's.
    """
    return "cpu" if asked == "auto" and policy.startswith("Mlp") else asked
