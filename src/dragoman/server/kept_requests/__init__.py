"""The last requests, which are kept for the page and for `dragoman top`."""
