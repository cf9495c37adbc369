"""Run folders in, statistics, tables and figures out; knows no training code and no torch."""
