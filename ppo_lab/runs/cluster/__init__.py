"""Runs on the nodes of a Ray cluster: what is sent, what is done there, and who sends it."""
