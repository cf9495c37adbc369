"""Logs in, statistics, tables and figures out; knows no training code and no torch.

``reports.report.write_report`` is the way in; ``logs`` reads, ``statistics`` estimates,
``content`` says what there is to say, ``output`` shows it.
"""
