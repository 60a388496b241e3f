"""The one exception for what a user can mend."""


class UserError(Exception):
    """Something the user can mend: one sentence that names the file or key, and the remedy."""
