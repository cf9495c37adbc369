"""Every table as a pandas DataFrame."""

import subprocess
import sys

import pandas as pd

from reports.output.formats import csv_header
from reports.output.tables import report_tables
from reports.report import Report


def test_a_frame_has_the_columns_of_its_csv_and_the_documents_numbers(report: Report) -> None:
    frames = report.frames
    tables = {table.name: table for table in report_tables(report.document)}
    assert frames.keys() == tables.keys()
    for name, frame in frames.items():
        assert list(frame.columns) == csv_header(tables[name].columns)
        assert len(frame) == len(tables[name].rows)
        assert frame.attrs["title"] == tables[name].title
    main = frames["table"].set_index("label")
    for row in report.document.aggregates:
        assert main.loc[row.label, "iqm"] == row.iqm.value
        assert main.loc[row.label, "iqm_low"] == row.iqm.low
    assert frames["scores"]["score"].tolist() == [run.score for run in report.document.runs]


def test_numbers_are_numbers_whether_they_exist_or_not(report: Report) -> None:
    frames = report.frames
    assert frames["scores"]["seed"].dtype == "Int64"
    assert frames["table"]["iqm"].dtype == "float64"
    baseline = report.document.settings.baseline
    row = frames["table"].loc[frames["table"]["label"] == baseline].iloc[0]
    assert pd.isna(row["p_better"])
    assert pd.isna(row["rank_p"])


def test_a_report_imports_neither_pandas_nor_rliable_until_they_are_asked_for() -> None:
    program = (
        "import sys, reports.report, reports.verify\n"
        "assert not {'pandas', 'rliable', 'seaborn', 'arch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
