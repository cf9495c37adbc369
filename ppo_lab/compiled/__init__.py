"""The compiled path of one model: when it is taken, how it collects and updates."""
