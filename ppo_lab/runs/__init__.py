"""One run: what it is told, its folder, its execution, and many of them over processes."""
