"""Rule select_report: the page that compares ways to select, and its table for programs."""

from ssc_core.report.select_page import write_select_page
from workflow_scripts._script import run

run(write_select_page)
