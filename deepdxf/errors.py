"""Exceptions of the package.

DeepDXFError            every error that a user can cause or meet; its text is one line and names the way out
├── ReadError           a file cannot be read as a drawing
│   └── AwayError       … now, but perhaps later
├── ArchiveError        an archive is missing, damaged, of another encoder, or in use
├── FilterError         a ``--where`` expression does not parse or names no column
├── EncoderError        an unknown encoder, or one that lacks an extra
├── ObjectiveError      an unknown objective, balancing strategy or setting of one
├── StoreError          a store of drawings is missing, incomplete, damaged, in use, or cannot be split as asked
└── GroupsError         a groups or judgements file is not in the corpus's form
"""


class DeepDXFError(Exception):
    """Base of all errors raised on purpose; ``str(error)`` is one line for the user."""


class ReadError(DeepDXFError):
    """A file cannot be read as a drawing."""


class AwayError(ReadError):
    """A file cannot be had now, but perhaps later: it is locked, being written, or its folder is away."""


class ArchiveError(DeepDXFError):
    """An archive is missing, damaged, made with another encoder, or in use."""


class FilterError(DeepDXFError):
    """A filter expression does not parse or names an unknown column."""


class EncoderError(DeepDXFError):
    """An encoder is unknown or its optional packages are not installed."""


class StoreError(DeepDXFError):
    """A store of drawings is missing, incomplete, damaged or in use, or cannot be split as asked."""


class GroupsError(DeepDXFError):
    """A groups or judgements file is not in the expected form."""


class ObjectiveError(DeepDXFError):
    """An objective or a balancing strategy is unknown, or was given a setting that it does not have."""
