"""API Gateway: the account's REST APIs, and the requests to their stages."""
