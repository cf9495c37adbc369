"""Hyperparameter search with Optuna under a protocol that keeps tuning and test seeds apart."""
