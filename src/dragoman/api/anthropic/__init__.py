"""The Anthropic Messages API: request types, rules, lowering, events and errors. Independent of models and engines."""
