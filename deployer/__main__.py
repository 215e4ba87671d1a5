"""`python -m deployer` is the `deployer` command."""

from deployer.cli import main

main(prog_name="deployer")
