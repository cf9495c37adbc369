"""PPO's formulas as pure functions of tensors, and their torch parts (Spec 3 to 8)."""
