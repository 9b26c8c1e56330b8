"""JSON Schema: one view of a schema, one resolver of references, its size, transforms and validation."""
