"""Keeps batches with their requests and results, and hands the requests out to the gateways that answer them."""
