"""Where hyperparameters come from: files in the zoo's format, presets, defaults."""
