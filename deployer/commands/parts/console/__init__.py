"""What `deployer dashboard` serves: the page of the dashboard's function, in a shell that does for it what
the CloudWatch console does. The shell's files are beside this one."""
