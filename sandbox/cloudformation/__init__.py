"""From template.yaml to a running stack."""
