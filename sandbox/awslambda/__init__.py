"""Strict Lambda: its control plane and its asynchronous invocations."""
