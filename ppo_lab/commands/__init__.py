"""What the doors call: typed options, and what each command does as functions of them."""
