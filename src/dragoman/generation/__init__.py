"""Generations: the engine requests of an answer, and the parts that their output becomes."""

from dragoman.generation.answer_run import AnswerRun, Runs
from dragoman.generation.generation import Generation
from dragoman.generation.tool_loop import ToolLoop

__all__ = ["AnswerRun", "Generation", "Runs", "ToolLoop"]
