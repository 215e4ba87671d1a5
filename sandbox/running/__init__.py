"""Functions run: one process per concurrent invocation, behind the Runtime API."""
