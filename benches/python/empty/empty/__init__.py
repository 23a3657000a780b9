from . import _empty
