"""Reads images and documents: what the model sees or reads in place of the attachments of a request."""
