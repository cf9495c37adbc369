"""Logs in, statistics, tables and figures out; knows no training code and no torch.

``reports.report.write_report`` is the way in; ``reports.runs`` reads, ``reports.arrangement``
arranges, ``reports.assembly`` estimates into the ``reports.document``, and ``reports.tables``,
``reports.figures`` and ``reports.page`` show it.
"""
