"""Logs in: run folders, RL Zoo's and SB3's, Monitor files, CSV; nothing in them is run."""
