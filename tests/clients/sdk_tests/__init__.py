"""The generated tests of the official SDKs, which are run against a live server; their files are downloaded."""
