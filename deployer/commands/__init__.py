"""The verbs of the `deployer` command: one verb, one file, one function."""
