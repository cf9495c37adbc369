"""What the commands share: reading options, progress, a comparison's runs."""
