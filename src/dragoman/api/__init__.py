"""API formats: request types, rules, lowering to the neutral conversation, event encoders and errors, a folder each."""
