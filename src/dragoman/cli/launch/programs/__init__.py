"""The programs that `dragoman launch` starts, one file each."""

from dragoman.cli.launch.program import Program
from dragoman.cli.launch.programs.claude import CLAUDE
from dragoman.cli.launch.programs.codex import CODEX
from dragoman.cli.launch.programs.opencode import OPENCODE

PROGRAMS: dict[str, Program] = {program.name: program for program in (CLAUDE, CODEX, OPENCODE)}
