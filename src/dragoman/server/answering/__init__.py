"""The way of one request to its answer: reading, rendering, generation, and sending it whole or as a stream."""
