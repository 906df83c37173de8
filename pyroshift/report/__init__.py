"""`write_report`: one web page, complete in itself, that shows and explains a run's results."""

from pyroshift.report.page import EXPLORER, REPORT, Run, Setting, write_report

__all__ = ["EXPLORER", "REPORT", "Run", "Setting", "write_report"]
