"""Strict ECR."""
