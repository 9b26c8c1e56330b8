"""What the server keeps between requests: responses, files and batches, in SQLite or Postgres, and the contents of files."""
