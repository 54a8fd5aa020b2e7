"""What ends the demo early."""


class DemoError(Exception):
    """The demo cannot go on; the message is one line that says what was not true."""
