"""The deployer."""
