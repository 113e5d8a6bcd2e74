"""The command's old spelling."""

import sys

from hsae.__main__ import renamed

sys.exit(renamed("hsae.analysis", sys.argv[1:]))
