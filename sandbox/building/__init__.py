"""Images without Docker: built from a Dockerfile, uploaded, unpacked."""
