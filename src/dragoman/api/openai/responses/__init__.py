"""`POST /v1/responses`: request types, rules, lowering, events and the encoder of the Responses API."""
