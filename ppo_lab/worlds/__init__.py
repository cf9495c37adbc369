"""Environments restated in compiled code, each equal to the one that Gymnasium registers.

Importing this package imports neither numba nor an environment; its modules import numba.

* :mod:`~ppo_lab.worlds.registry`: which environments have a world, and its making;
  :mod:`~ppo_lab.worlds.alterations` and :mod:`~ppo_lab.worlds.as_written`: whether what a script or
  a registered factory made of one still is what its source says.
* :mod:`~ppo_lab.worlds.rules`: what a world is. One module a family: ``tabular``, ``cartpole``,
  ``pendulum``, ``mountain_car``, ``acrobot``, ``crawler``.
* :mod:`~ppo_lab.worlds.stepping`: one step of K copies, for
  :class:`~ppo_lab.vec_env.compiled.CompiledVecEnv`.
* :mod:`~ppo_lab.worlds.games`: which games of several agents have one; ``team``, ``spread`` and
  what ``mpe`` knows of the package that it restates.
* :mod:`~ppo_lab.worlds.game_stepping`: their steps.
* :mod:`~ppo_lab.worlds.rollout` and :mod:`~ppo_lab.worlds.evaluation`: a whole rollout or
  evaluation in one call.
"""
