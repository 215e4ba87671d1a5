"""One adapter per AWS service; botocore's errors end here."""
