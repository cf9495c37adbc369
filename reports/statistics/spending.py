"""The error of several looks: how much of it each spends, and what p that asks of the look.

The levels follow by integrating over the walk of z (Armitage, McPherson and Rowe 1969); what is
spent by when is Lan and DeMets's (1983) function of Pocock's (1977) kind.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from reports.statistics.samples import Floats

_FAR = 40.0
"""Beyond so many standard deviations nothing is left of a walk."""

_PANEL = 1.5
"""Spreads of a step to a panel of the integral."""
_PLACES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def spent(fraction: float, error: float) -> float:
    """Lan and DeMets's spending function of Pocock's kind, error · ln(1 + (e − 1) fraction)."""
    return error * math.log1p((math.e - 1) * fraction)


@lru_cache(maxsize=512)
def nominal_levels(fractions: tuple[float, ...], error: float) -> tuple[float, ...]:
    """The two-sided p that each look asks for, so that ``spent`` is spent and no more.

    Args:
        fractions: of the most seeds at every look, ascending, the last 1.
        error: over all looks, in (0, 1).
    """
    walk, levels, before = _Walk(fractions), [], 0.0
    for index, fraction in enumerate(fractions):
        wanted = spent(fraction, error) - before
        bound = float(
            optimize.brentq(
                lambda b, i=index, w=wanted: walk.leaving(i, b) - w, 0, _FAR, xtol=1e-12
            )
        )
        levels.append(float(2 * special.ndtr(-bound / math.sqrt(fraction))))
        walk.stay_within(index, bound)
        before += wanted
    return tuple(levels)


def error_of_looks(fractions: Sequence[float], level: float) -> float:
    """P(a test of fixed size rejects at any look) where nothing differs.

    What looking again and again costs: each look tests at ``level``, and whoever stops at the first
    that rejects errs so often.

    Args:
        fractions: runs at every look as shares of the last look's, ascending.
        level: two-sided, of each look.
    """
    far, walk, error = float(-special.ndtri(level / 2)), _Walk(fractions), 0.0
    for index, fraction in enumerate(fractions):
        bound = far * math.sqrt(fraction)
        error += walk.leaving(index, bound)
        walk.stay_within(index, bound)
    return error


class _Walk:
    """z √t, a Brownian walk at the looks, as far as it has stayed within all bounds.

    The density is kept at Gauss and Legendre's nodes between the last bounds.

    Args:
        fractions: the looks' t.
    """

    def __init__(self, fractions: Sequence[float]) -> None:
        steps = np.diff(fractions, prepend=0.0)
        self._spreads = np.sqrt(steps)
        self._nodes, self._mass = np.zeros(1), np.ones(1)

    def leaving(self, look: int, bound: float) -> float:
        """P(within all bounds before, and beyond this one at the look)."""
        spread = self._spreads[look]
        below = special.ndtr((-bound - self._nodes) / spread)
        above = special.ndtr((self._nodes - bound) / spread)
        return float(self._mass @ (below + above))

    def stay_within(self, look: int, bound: float) -> None:
        """Go on to the look, with this bound there."""
        spread = self._spreads[look]
        nodes, weights = _panels(bound, self._spreads[look:].min())
        distances = (nodes[:, None] - self._nodes) / spread
        kernel = np.exp(-0.5 * distances**2) / (spread * math.sqrt(2 * math.pi))
        self._mass = (kernel @ self._mass) * weights
        self._nodes = nodes


def _panels(bound: float, finest: float) -> tuple[Floats, Floats]:
    """Nodes from −bound to bound and their weights, dense enough for steps of this spread."""
    panels = 4 + math.ceil(2 * bound / (_PANEL * finest))
    half = bound / panels
    centres = -bound + half * (2 * np.arange(panels)[:, None] + 1)
    weights = np.broadcast_to(half * _WEIGHTS, (panels, len(_WEIGHTS)))
    return (centres + half * _PLACES).ravel(), weights.ravel()
