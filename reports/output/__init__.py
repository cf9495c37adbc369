"""A report's content as tables, figures, a page and lines in a terminal."""
