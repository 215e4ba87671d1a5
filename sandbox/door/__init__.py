"""The door: one port, every service, and nobody passes whom IAM does not let."""
