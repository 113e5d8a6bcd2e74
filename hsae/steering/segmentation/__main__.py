"""The command's old spelling."""

import sys

from hsae.__main__ import renamed

sys.exit(renamed("hsae.steering.segmentation", sys.argv[1:]))
