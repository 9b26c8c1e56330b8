"""What the command line says when it will not: one line, and exit code 2."""

import click


class UsageError(click.ClickException):
    """The user asked for something that cannot be done; the message says what to change."""

    exit_code = 2
