"""Workbooks (xlsx, xls, ods) as lines of CSV, read by a process of its own within limits."""
