"""JSON Schema: a view of what a schema allows, a resolver of references, its size, transforms and validation."""
