"""The programs that `dragoman launch` starts, one file each."""

from dragoman.cli.launch.program import Program
from dragoman.cli.launch.programs.aider import AIDER
from dragoman.cli.launch.programs.claude import CLAUDE
from dragoman.cli.launch.programs.cline import CLINE
from dragoman.cli.launch.programs.codex import CODEX
from dragoman.cli.launch.programs.copilot import COPILOT
from dragoman.cli.launch.programs.goose import GOOSE
from dragoman.cli.launch.programs.kimi import KIMI
from dragoman.cli.launch.programs.opencode import OPENCODE
from dragoman.cli.launch.programs.pi import PI
from dragoman.cli.launch.programs.qwen import QWEN

PROGRAMS: dict[str, Program] = {
    program.name: program for program in (CLAUDE, CODEX, OPENCODE, QWEN, COPILOT, KIMI, GOOSE, PI, CLINE, AIDER)
}
