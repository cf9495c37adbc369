"""PPO from the specification on Stable-Baselines3's base classes, with honest tuning and reports.

Importing this package registers the ``ppo_lab/…`` environments with Gymnasium and costs no
torch: the exports below are loaded when they are first used.
"""
