"""The compiled path: the arithmetic of PPO for small MLP policies, by numba, on the CPU.

Importing this package imports neither numba nor torch; its modules import numba.
"""
