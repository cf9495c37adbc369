"""Environments with exact answers: finite MDPs, their Gymnasium environments, their solutions."""
