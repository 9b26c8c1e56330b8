"""The error of the command line: one line and exit code 2."""

import click


class UsageError(click.ClickException):
    """The options cannot be honoured; the message says what to change."""

    exit_code = 2
